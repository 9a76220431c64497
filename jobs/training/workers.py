"""Trains by a spec, on workers that Spark starts."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

from features.errors import ContractError
from jobs.runtime.errors import ConfigError
from jobs.runtime.run import Run
from jobs.training.barrier import run_workers
from models.errors import WorkerError
from models.training.launch import Ended, first_cause
from models.training.spec import BEGUN, TrainingResult, TrainSpec


def train(run: Run, spec: TrainSpec) -> TrainingResult:
    """The chief's result.

    Raises:
        WorkerError: a worker died or stalled, or another run trains the same.
        ContractError: what the workers refused.
    """
    run.log("spec", model_id=spec.model_id, lanes=spec.lanes, folder=spec.folder, sizes=vars(spec.sizes))
    with run.step("train", model_id=spec.model_id, workers=spec.training.workers):
        ends = run_workers(run.spark, _write_spec(spec), spec.training.workers, spec.threads, run.logger.fields)
    return _result(ends, spec)


def refuse_remote(root: str) -> None:
    """Takes the warehouse's path as Spark understands it: a bare path may be one of HDFS.

    Raises:
        ConfigError: the warehouse is not on a path that workers can open.
    """
    if "://" in root:
        raise ConfigError(
            "warehouse: training needs a path that all machines mount, such as file:/mnt/lake, its workers write checkpoints "
            f"there. Received {root!r}."
        )


def threads(run: Run, workers: int) -> int:
    """Of one worker: its share of a machine that it shares with the others, else the cores that Spark gives a task."""
    spark = run.spark.sparkContext
    if (spark.master or "").startswith("local"):
        return max(1, _cores() // workers)
    return int(spark.getConf().get("spark.task.cpus") or 1)


def as_begun(spec: TrainSpec) -> TrainSpec:
    """The spec, with as many threads as the run began with where it has a checkpoint: others would round its last bits
    otherwise."""
    begun = Path(spec.folder, BEGUN)
    return spec.model_copy(update=json.loads(begun.read_text(encoding="utf-8"))) if begun.exists() else spec


def _cores() -> int:
    """Those that this process may use, where the system tells: on a core of its own, a second thread only gets in the way."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_spec(spec: TrainSpec) -> str:
    path = Path(spec.folder, "spec.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{uuid.uuid4().hex}")  # of this run alone: another may write the same
    new.write_text(spec.model_dump_json(indent=1), encoding="utf-8")
    new.rename(path)  # whole or not at all: the next run reads it
    return str(path)


def _result(ends: Sequence[Ended], spec: TrainSpec) -> TrainingResult:
    cause = first_cause(ends)
    if cause is not None:
        if cause.code == WorkerError.exit_code:
            again = f"The same command goes on from the last checkpoint in {spec.folder}."
            raise WorkerError(" ".join([cause.message, again, *([_less_memory(spec)] if cause.killed else [])]))
        raise {2: ConfigError, 3: ContractError}.get(cause.code, RuntimeError)(cause.message)
    return next(end.result for end in ends if end.result is not None)


def _less_memory(spec: TrainSpec) -> str:
    """What to do where the system has killed a worker, as it does with the largest process once memory is out."""
    training, negatives = spec.training, spec.training.loss.negatives
    items = (
        f"training.loss.negatives={negatives} (of training.loss.softmax={training.loss.softmax})"
        if negatives
        else f"or set training.loss.softmax: sampled, for items={spec.sizes.items}"
    )
    return (
        "If it is killed again, it probably runs out of memory: give the machine more, or lower "
        f"training.batch_size={training.batch_size}, model.dim={spec.model.dim}, {items}."
    )
