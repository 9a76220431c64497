import datetime
import time
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from jobs.modelling.trained import trained_at


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's clock shows the time of a place nine hours ahead."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def test_a_model_says_in_utc_when_it_was_trained_wherever_the_machine_is(spark: SparkSession, far_from_utc: None) -> None:
    row = spark.sql("SELECT TIMESTAMP '2026-03-01 20:30:00 UTC' AS created_at").head()
    assert row is not None
    assert trained_at(row) == datetime.datetime(2026, 3, 1, 20, 30, tzinfo=datetime.UTC)
    assert f"{trained_at(row):%Y-%m-%d %H:%M}" == "2026-03-01 20:30"
