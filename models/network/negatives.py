"""Items to tell the target from, where the catalogue is too large to tell it from all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.config import LossConfig
from models.inputs import FIRST
from models.network.layers import derive


class Negatives(NamedTuple):
    """The items that the targets of one lane of a step are compared with.

    items         int32, drawn with replacement: (1, negatives) shared by all positions, or (n, negatives), a set for each
    log_expected  (items,) float32, log of how often each item is expected among them; -inf: never drawn
    """

    items: tf.Tensor
    log_expected: tf.Tensor


class Sampler:
    """Draws items with a probability that is their number of training events to the power of `popularity_power`.

    Items without training events are never drawn: their vectors come from content alone, and would only be pushed down.
    """

    def __init__(self, train_events: np.ndarray, config: LossConfig) -> None:
        """Prepares the draws of one configuration.

        Args:
            train_events: (items,) int64.
        """
        real = (np.arange(len(train_events)) >= FIRST) & (train_events > 0)
        weights = np.where(real, np.maximum(train_events, 1).astype(np.float64) ** config.popularity_power, 0.0)
        with np.errstate(divide="ignore"):
            shares = np.log(weights / max(weights.sum(), 1e-300))  # (items,)
        self._until = tf.constant(np.cumsum(weights), tf.float64)  # (items,)
        self._last = int(np.flatnonzero(real).max(initial=FIRST))
        self._count, self._number, self._shared = config.negatives, derive(0, "negatives"), not config.per_position
        self._log_expected = tf.constant(shares + np.log(config.negatives), tf.float32)

    def draw(self, seed: tf.Tensor, positions: int | tf.Tensor) -> Negatives:
        """For so many positions, the same for the same seed, (2,) int32."""
        own = tf.random.experimental.stateless_fold_in(seed, self._number)
        rows = 1 if self._shared else positions
        # TensorFlow's draws by category would hold a number for each draw and item at once on a GPU.
        points = tf.random.stateless_uniform([rows * self._count], own, dtype=tf.float64) * self._until[-1]
        drawn = tf.minimum(tf.searchsorted(self._until, points, side="right"), self._last)
        items = tf.reshape(drawn, [rows, self._count])
        return Negatives(tf.ensure_shape(items, [1 if self._shared else None, self._count]), self._log_expected)
