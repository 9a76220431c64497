"""One optimiser step: gradients of the worker's lanes, one sum over all workers, one update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum
from typing import Any

import numpy as np
import tensorflow as tf

from models.inputs import CONTENT, HISTORY, TARGETS, ItemContent
from models.network.objective import Objective
from models.network.transformer import Recommender
from models.stream.file_plan import generator
from models.stream.stream import Batch
from models.training.cluster import Cluster
from models.training.optimizer import Optimizer

LOSSES = ("next_item", "value")


class Sums(IntEnum):
    """Where the numbers of a step stand, behind its gradients: of each loss the sum, and the sum of its weights."""

    NEXT_ITEM = 0
    NEXT_ITEM_WEIGHT = 1
    VALUE = 2
    VALUE_WEIGHT = 3


class Stepper:
    """Runs steps on a model.

    All gradients, loss sums and weight sums travel in one flat tensor: one collective a step, not one a variable.
    The sum over lanes pairs them so that it is, to the last bit, the same for one and for two workers.
    """

    def __init__(
        self,
        model: Recommender,
        optimizer: Optimizer,
        content: ItemContent,
        objective: Objective,
        cluster: Cluster,
    ) -> None:
        self._model, self._optimizer = model, optimizer
        # The graph refers to tensors; of arrays it would hold a copy, and it must not be larger than 2 GB.
        tensors: dict[str, Any] = {i.name: tf.constant(getattr(content, i.name), i.dtype) for i in CONTENT}
        self._content = replace(content, **tensors)
        self._objective, self._cluster = objective, cluster
        # Any length: a trace takes seconds, and there would be one for each length bucket.
        # Nothing here branches on a tensor in Python, so autograph would rewrite the code of every layer for nothing.
        signature = [batch_signature(), tf.TensorSpec([2], tf.int32)]
        self._lane = tf.function(self._lane_sums, input_signature=signature, autograph=False)
        self._apply = tf.function(self._update, autograph=False)

    def run(self, batches: Sequence[Batch], lanes: Sequence[int], seed: int) -> tf.Tensor:
        """One step.

        Args:
            batches: one for each of `lanes`, this worker's.
            seed: of the run; with the step and the lane it decides the dropout.
        Returns:
            (4,) float32, over all workers, as Sums says.
        """
        step = int(self._optimizer.iterations)
        seeds = [generator(seed, step, lane).integers(2**31, size=2) for lane in lanes]
        total = self._cluster.sum(self._sum(list(zip(batches, seeds, strict=True))))
        self._apply(total)
        return total[-len(Sums) :]

    def _sum(self, lanes: list[tuple[Batch, np.ndarray]]) -> tf.Tensor:
        if len(lanes) > 1:
            return self._sum(lanes[0::2]) + self._sum(lanes[1::2])
        ((batch, seed),) = lanes
        return self._lane({name: tf.constant(rows) for name, rows in batch.items()}, tf.constant(seed, tf.int32))

    def _lane_sums(self, batch: dict[str, tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """Gradients of the summed losses, loss sums and weight sums of one lane, flat."""
        with tf.GradientTape() as tape:
            losses = self._model.losses(batch, self._content, seed, self._objective)
            objective = tf.add_n([getattr(self._objective.config, name) * losses[name][0] for name in LOSSES])
        # A variable without a gradient (as the value head's, without values) keeps its place in the flat tensor.
        gradients = tape.gradient(objective, [v.value for v in self._model.trainable_variables], unconnected_gradients="zero")
        numbers = [number for name in LOSSES for number in losses[name]]  # in the order of Sums
        return tf.concat([*(tf.reshape(tf.convert_to_tensor(g), [-1]) for g in gradients), tf.stack(numbers)], axis=0)

    def _update(self, total: tf.Tensor) -> None:
        gradients, sums = total[: -len(Sums)], total[-len(Sums) :]
        self._optimizer.step(gradients / tf.maximum(sums[Sums.NEXT_ITEM_WEIGHT], 1.0))


def batch_signature() -> dict[str, tf.TensorSpec]:
    """Batches of any number of examples and any length."""
    return {i.name: tf.TensorSpec([None, None], i.dtype) for i in (*HISTORY, *TARGETS)}
