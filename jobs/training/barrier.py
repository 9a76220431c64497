"""Runs training workers as the tasks of one Spark barrier stage: all at once, or none."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyspark import BarrierTaskContext
from pyspark.sql import SparkSession

from jobs.runtime.errors import ConfigError
from jobs.training.log_relay import LogRelay, RelayAddress, RelayedLog
from models.errors import WorkerError
from models.training.launch import Ended, WorkerProcess

# What stands in the message of a barrier stage that Spark refuses, and what is to be done.
_REFUSALS = {
    "SPARK-24819": (
        "training.workers must not exceed the task slots that are free at the same time. Received workers={workers}. "
        "Give the session more cores or executors, or train with fewer workers."
    ),
    "SPARK-24942": (
        "training must have its executors from the start, all workers being tasks of one barrier stage. Received "
        "spark.dynamicAllocation.enabled=true. Submit with --conf spark.dynamicAllocation.enabled=false."
    ),
}

# What it says where the process or the machine of a task went away. Its own words for a stage that failed, which an error in
# Python has too, are not among them.
_LOST = ("ExecutorLostFailure", "Python worker exited unexpectedly")


@dataclass(frozen=True)
class _Task:
    """What a task needs; it travels to the executors. `mark` is a file whose presence says that a worker has ended badly."""

    spec: str
    mark: str
    threads: int | None
    fields: dict[str, object]
    logs: RelayAddress

    def __call__(self, _: Iterable[int]) -> Iterator[Ended]:
        context = BarrierTaskContext.get()
        index = context.partitionId()
        host = context.getTaskInfos()[index].address.rsplit(":", 1)[0]
        gpus = context.resources().get("gpu")  # where Spark schedules them
        with RelayedLog(self.logs) as logs:
            with socket.socket() as port:
                port.bind(("", 0))
                addresses = context.allGather(f"{host}:{port.getsockname()[1]}")
                worker = WorkerProcess(
                    self.spec,
                    addresses=addresses,
                    index=index,
                    port=port,
                    threads=self.threads,
                    gpus=gpus.addresses if gpus else (),
                    log=lambda line: logs.write(self._named(line)),
                )
            ended = worker.wait(given_up=Path(self.mark).exists)
        if ended.code:
            Path(self.mark).touch()  # peers within a collective notice by themselves; those that are not would wait for ever
        yield ended

    def _named(self, line: str) -> dict[str, object]:
        """A worker's JSON line with the fields that all lines of the run carry."""
        fields = json.loads(line)
        time = {"time": fields.pop("time")} if "time" in fields else {}  # first; a library's line may have none
        return {**time, **self.fields, **fields}


def run_workers(spark: SparkSession, spec: str, workers: int, threads: int | None, fields: dict[str, object]) -> list[Ended]:
    """How each worker ended. A worker's failure is a result, not an exception: Spark gives a stage up at the first task that
    fails, and the other workers' ends would be lost.

    Args:
        spec: path of the run's spec, in a folder that every machine sees.
        fields: what every line of the log carries, such as run_id.
    Raises:
        ConfigError: the cluster has fewer task slots than workers, or a number of executors that changes as it goes.
        WorkerError: the cluster has lost an executor, or the process of a task, and the worker with it.
    """
    mark = Path(spec).with_name(f"failed-{uuid.uuid4().hex}")
    stage = spark.sparkContext.parallelize(range(workers), workers).barrier()
    try:
        with LogRelay(spark.conf.get("spark.driver.host", "localhost") or "localhost") as relay:
            return stage.mapPartitions(_Task(spec, str(mark), threads, fields, relay.address)).collect()
    except Exception as error:
        known = _translated(error, workers)
        if known is None:
            raise
        raise known from error
    finally:
        mark.unlink(missing_ok=True)


def _translated(error: Exception, workers: int) -> Exception | None:
    """What a user can do about the end of a barrier stage; None: it is a defect."""
    text = str(getattr(error, "java_exception", error))
    refusal = next((way_out for sign, way_out in _REFUSALS.items() if sign in text), None)
    if refusal is not None:
        return ConfigError(refusal.format(workers=workers))
    if any(sign in text for sign in _LOST):
        return WorkerError(
            "every executor must stay to the end of training. The cluster has lost one, or the process of a task: it was taken "
            "away, or out of memory. The same command goes on from the last checkpoint."
        )
    return None
