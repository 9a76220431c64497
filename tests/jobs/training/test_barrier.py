"""Workers as tasks of a barrier stage: what Spark refuses, and what becomes of their lines."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.runtime.errors import ConfigError
from jobs.training.barrier import _Task, _translated, run_workers
from jobs.training.log_relay import RelayAddress
from models.errors import WorkerError


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


def kill_the_task_of(spec: Path) -> None:
    """Kills the process that has started the worker, as a system without memory does."""
    while True:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().decode().split("\0")
                parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if str(spec) in command and parent != os.getpid():
                os.kill(parent, signal.SIGKILL)
                return
        time.sleep(0.05)


def test_training_whose_task_is_killed_by_the_system_is_worth_a_retry(spark: SparkSession, tmp_path: Path) -> None:
    killer = threading.Thread(target=kill_the_task_of, args=(tmp_path / "spec.json",), daemon=True)
    os.mkfifo(tmp_path / "spec.json")  # the worker waits for what nobody writes
    killer.start()
    with pytest.raises(WorkerError, match=r"The cluster has lost one, or the process of a task.* The same command goes on"):
        run_workers(spark, str(tmp_path / "spec.json"), workers=1, threads=None, fields={})


STAGE_FAILED = "Could not recover from a failed barrier ResultStage. Most recent failure reason: barrier task (3, 0) failed.\n"


def test_a_lost_executor_is_worth_a_retry_and_an_error_in_python_is_a_defect() -> None:
    lost = RuntimeError(f"{STAGE_FAILED}ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Reason: x")
    assert isinstance(_translated(lost, 1), WorkerError)
    defect = RuntimeError(f"{STAGE_FAILED}org.apache.spark.api.python.PythonException: Traceback: KeyError: 'gpu'")
    assert _translated(defect, 1) is None


def test_lines_of_workers_carry_the_fields_of_the_run_behind_their_time_and_any_json_is_a_line() -> None:
    task = _Task("spec.json", "mark", 1, {"run_id": "r"}, RelayAddress("localhost", 1, ""))
    named = task._named('{"time": "12:00", "step": "epoch"}')
    assert list(named.items()) == [("time", "12:00"), ("run_id", "r"), ("step", "epoch")]
    assert task._named('{"library": "x"}') == {"run_id": "r", "library": "x"}
    assert task._named("{}") == {"run_id": "r"}
