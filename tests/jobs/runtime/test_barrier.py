"""Workers as tasks of a barrier stage: what Spark refuses, and what becomes of their lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.runtime.barrier import _Task, run_workers
from jobs.runtime.errors import ConfigError
from jobs.runtime.log_relay import RelayAddress


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


def test_lines_of_workers_carry_the_fields_of_the_run_behind_their_time_and_any_json_is_a_line() -> None:
    task = _Task("spec.json", "mark", 1, {"run_id": "r"}, RelayAddress("localhost", 1, ""))
    named = task._named('{"time": "12:00", "step": "epoch"}')
    assert list(named.items()) == [("time", "12:00"), ("run_id", "r"), ("step", "epoch")]
    assert task._named('{"library": "x"}') == {"run_id": "r", "library": "x"}
    assert task._named("{}") == {"run_id": "r"}
