"""The score from which on a value is liked, from rows of `statistics`."""

from __future__ import annotations

import datetime

import pytest
from pyspark.sql import DataFrame, SparkSession

from features.tables import STATISTICS
from jobs.runtime.errors import ConfigError
from jobs.training.likes import like_score
from models.config import LossConfig

UNTIL = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def statistics(spark: SparkSession, **numbers: float) -> DataFrame:
    rows = [("sequences", "value", "", name, number, None, UNTIL) for name, number in numbers.items()]
    assert [c.name for c in STATISTICS.columns][:5] == ["owner", "column", "group", "statistic", "number"]
    return spark.createDataFrame(rows, STATISTICS.schema)


def test_it_is_the_z_score_of_the_declared_value(spark: SparkSession) -> None:
    found = like_score(LossConfig(like_from=4.0), lambda: statistics(spark, mean=3.5, std=0.25))
    assert found == pytest.approx((4.0 - 3.5) / 0.25)


def test_statistics_are_not_read_where_nothing_is_declared() -> None:
    assert like_score(LossConfig(), lambda: pytest.fail("was read")) is None


@pytest.mark.parametrize("numbers", [{}, {"mean": 3.0, "std": 0.0}])
def test_without_values_that_differ_it_is_refused(spark: SparkSession, numbers: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"training.loss.like_from: needs source.events.value: explicit .* Received 4.0"):
        like_score(LossConfig(like_from=4.0), lambda: statistics(spark, **numbers))
