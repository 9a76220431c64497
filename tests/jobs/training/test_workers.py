"""Where workers can work, and how many threads one gets."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf
from pyspark.sql import SparkSession

from jobs.runtime.errors import ConfigError
from jobs.training.workers import _result, as_begun, refuse_remote, threads
from models.errors import WorkerError
from models.training.checkpoint import Checkpoints
from models.training.launch import Ended
from tests.models.tables import training_spec


@pytest.mark.parametrize(("cores", "workers", "expected"), [(1, 1, 1), (4, 1, 4), (4, 2, 2), (5, 2, 2), (1, 2, 1)])
def test_workers_on_one_machine_share_the_cores_that_the_job_may_use(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, cores: int, workers: int, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(7, 7 + cores)))
    assert threads(SimpleNamespace(spark=spark), workers) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(("root", "refused"), [("/lake", 0), ("file:/mnt/lake", 0), ("hdfs://nn/lake", 1), ("s3a://b/lake", 1)])
def test_workers_need_a_path_that_their_machine_mounts(root: str, refused: bool) -> None:
    if not refused:
        refuse_remote(root)
        return
    with pytest.raises(ConfigError, match=f"warehouse: training needs a path that all machines mount.* Received '{root}'"):
        refuse_remote(root)


def test_a_run_that_has_a_checkpoint_goes_on_with_as_many_threads_as_it_began_with(tmp_path: Path) -> None:
    begun = training_spec(tmp_path, tmp_path)
    now = begun.model_copy(update={"threads": 2})
    assert as_begun(now) == now  # it was killed before there was one
    Checkpoints(str(tmp_path), begun, {"step": tf.Variable(1)}).save(1)
    assert as_begun(now) == begun


@pytest.mark.parametrize(
    ("loss", "lower"),
    [
        ({}, r"model.dim=16, or set training.loss.softmax: sampled, for items=12\."),
        (
            {"softmax": "sampled", "negatives": 7},
            r"model.dim=16, training.loss.negatives=7 \(of training.loss.softmax=sam",
        ),
    ],
)
def test_a_worker_that_the_system_has_killed_is_told_with_what_needs_less_memory(
    tmp_path: Path, loss: dict[str, object], lower: str
) -> None:
    spec = training_spec(tmp_path, tmp_path, loss=loss)
    with pytest.raises(WorkerError, match=rf"from the last checkpoint in .* out of memory: .* training.batch_size=16, {lower}"):
        _result([Ended(10, "another", peer_lost=True), Ended(10, "worker 1 was ended by SIGKILL.", killed=True)], spec)
    with pytest.raises(WorkerError, match=r"goes on from the last checkpoint in [^ ]*\.$"):
        _result([Ended(10, "worker 0: step 7 must end within step_timeout_seconds=300. It has not.")], spec)
