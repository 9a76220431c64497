"""How many threads a worker gets."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from pyspark.sql import SparkSession

from jobs.training.workers import threads


@pytest.mark.parametrize(("cores", "workers", "expected"), [(1, 1, 1), (4, 1, 4), (4, 2, 2), (5, 2, 2), (1, 2, 1)])
def test_workers_on_one_machine_share_the_cores_that_the_job_may_use(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, cores: int, workers: int, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(7, 7 + cores)))
    assert threads(SimpleNamespace(spark=spark), workers) == expected  # type: ignore[arg-type]
