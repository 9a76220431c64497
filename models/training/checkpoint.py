"""The state of a training run on disk: written whole or not at all, resumed only by the run that it belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from models.errors import CheckpointError
from models.network.transformer import Recommender
from models.training.spec import BEGUN, IDENTITY, TrainSpec

KEPT = 2  # checkpoints: the newest, and the one before
BEST = "best"  # in a checkpoint, the weights that validated best


def best_model(spec: TrainSpec) -> Recommender:
    """The model of a run with the best weights of its newest checkpoint, to look inside.

    Raises:
        CheckpointError: the run has no checkpoint.
    """
    newest = tf.train.latest_checkpoint(spec.folder)
    if newest is None:
        raise CheckpointError(f"{spec.folder}: must hold a checkpoint. There is none.")
    model = Recommender(spec.model, spec.sizes)
    weights = tf.train.Checkpoint(**{BEST: [v.value for v in model.trainable_variables]})
    weights.restore(newest).assert_existing_objects_matched().expect_partial()
    return model


class Checkpoints:
    """Checkpoints of `state` in `folder`, a path that every worker sees.

    Beside them lies identity.json: what decides the weights. Another run's checkpoint is refused, never overwritten.
    """

    def __init__(self, folder: str, spec: TrainSpec, state: Mapping[str, Any]) -> None:
        """Raises:
        CheckpointError: the folder holds a checkpoint of other settings or tables, or is no local path.
        """
        if "://" in folder:
            raise CheckpointError(f"{folder}: checkpoints need a path that all workers can open, such as a shared mount.")
        self._folder, self._spec = Path(folder), spec
        self._manager = tf.train.CheckpointManager(tf.train.Checkpoint(**state), folder, KEPT, checkpoint_name="step")
        self._check_identity()

    def restore(self) -> None:
        """Sets the state to that of the newest checkpoint, if there is one."""
        if self._manager.latest_checkpoint:
            self._manager.checkpoint.restore(self._manager.latest_checkpoint).assert_consumed()

    def save(self, step: int) -> None:
        """To be called by the chief alone."""
        self._folder.mkdir(parents=True, exist_ok=True)
        identity = self._folder / IDENTITY
        if not identity.exists():
            begun = json.dumps({"threads": self._spec.threads})  # which decide the last bits: a resumed run takes as many
            (self._folder / BEGUN).write_text(begun, encoding="utf-8")
            new = identity.with_suffix(".new")
            new.write_text(json.dumps(self._spec.identity(), indent=1))
            new.rename(identity)  # before the first checkpoint, so that none is ever without
        # A file is renamed to `checkpoint` once all others are complete: a kill in between leaves the checkpoint before.
        self._manager.save(checkpoint_number=step)

    def _check_identity(self) -> None:
        identity = self._folder / IDENTITY
        if not identity.exists():
            return
        there, here = json.loads(identity.read_text()), json.loads(json.dumps(self._spec.identity()))
        different = [f"{k}={there.get(k)}, here {here.get(k)}" for k in sorted(there | here) if there.get(k) != here.get(k)]
        if different:
            raise CheckpointError(
                f"{self._folder}: its checkpoint is of another run: {'; '.join(different)}. "
                "Use another folder, or put this one aside."
            )
