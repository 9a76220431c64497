"""What a training run is: everything that its worker processes need to know, as one JSON file; and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from pydantic import Field, PositiveInt, field_validator

from models.config import ModelConfig, Section, TrainingConfig
from models.inputs import Sizes

# They change how a run is carried out, not what comes out of it, but for last bits, which more than two workers add up in
# another order.
_WITHOUT_EFFECT = {"workers", "checkpoint_steps", "step_timeout_seconds"}

IDENTITY = "identity.json"  # beside the checkpoints of a run: what decides the weights
BEGUN = "begun.json"  # beside them, too: what a resumed run takes over
GATE = "gate "  # start of the names of gates among the metrics of a run


class PinnedTable(Section):
    path: str
    version: int


class TrainInputs(Section):
    """What a run computes from, wherever it keeps what it makes."""

    sequences: PinnedTable
    item_content: PinnedTable
    item_transitions: PinnedTable
    item_values: PinnedTable
    model: ModelConfig
    training: TrainingConfig
    sizes: Sizes
    versions: dict[str, int] = Field(default_factory=dict)  # Delta version of each table that was read, for the card
    names: dict[str, list[str]] = Field(default_factory=dict)  # of the declared inputs, in their order, for the card
    like_score: float | None = None  # z-score of training.loss.like_from; null: none is declared
    threads: PositiveInt | None = None  # of one worker, decides the last bits; null: all cores

    @field_validator("training")
    @classmethod
    def nothing_is_left_open(cls, training: TrainingConfig) -> TrainingConfig:
        if training.epochs is None or training.loss.softmax is None:
            raise ValueError(
                "epochs and loss.softmax must be given, which train_model chooses where a scenario does not. "
                f"Received {training.epochs} and {training.loss.softmax}."
            )
        return training

    @property
    def epochs(self) -> int:
        """Passes over the training rows."""
        return cast(int, self.training.epochs)  # none is refused

    @property
    def lanes(self) -> int:
        return self.training.lanes or self.training.workers

    def identity(self) -> dict[str, Any]:
        """What decides the weights, flat; two runs of the same identity may share a checkpoint.

        Tables by version, not by path: the same warehouse under another name makes the same model.
        """
        training = self.training.model_dump(mode="json", exclude=_WITHOUT_EFFECT) | {"lanes": self.lanes}
        decisive = {
            "sequences": {"version": self.sequences.version},
            "item_content": {"version": self.item_content.version},
            "item_transitions": {"version": self.item_transitions.version},
            "item_values": {"version": self.item_values.version},
            "model": self.model.model_dump(mode="json"),
            "training": training,
            "sizes": vars(self.sizes),
            "value": {"like_score": self.like_score},
        }
        return {f"{section}.{key}": value for section, values in decisive.items() for key, value in values.items()}


class TrainSpec(TrainInputs):
    model_id: str
    folder: str  # of checkpoints: a path that every worker sees
    export: str | None = None  # folder that the chief exports the best weights to; null: no export


@dataclass(frozen=True)
class TrainingResult:
    """What came of a run.

    steps    optimiser steps of the weights that were kept
    rows     training rows of an epoch, as streamed
    device   what the chief computed on
    metrics  losses of the last epoch, seconds of this process; of the kept weights validation metrics, mean gates, and the
             weights of transitions and of item values with the validation metrics that they bring (valid_whole_ndcg@10, _hr@10
             and _value_loss)
    """

    steps: int
    rows: int
    device: str
    metrics: dict[str, float]
