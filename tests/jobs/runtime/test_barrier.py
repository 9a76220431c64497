from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.runtime.barrier import run_workers
from jobs.runtime.errors import ConfigError


@pytest.fixture
def dynamic_allocation(spark: SparkSession) -> Iterator[None]:
    """As on a cluster whose defaults say so; a local session has it by Spark's setting for tests only."""
    keys = ("spark.dynamicAllocation.enabled", "spark.dynamicAllocation.testing")
    conf = spark.sparkContext._jsc.sc().conf()
    for key in keys:
        conf.set(key, "true")
    yield
    for key in keys:
        conf.remove(key)


def test_training_with_dynamic_allocation_is_refused_with_the_setting_that_mends_it(
    spark: SparkSession, tmp_path: Path, dynamic_allocation: None
) -> None:
    with pytest.raises(ConfigError, match=r"Submit with --conf spark.dynamicAllocation.enabled=false\."):
        run_workers(spark, str(tmp_path / "spec.json"), workers=1, threads=None, fields={})
