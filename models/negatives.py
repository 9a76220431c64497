"""Items to tell the target from, where the catalogue is too large to tell it from all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.config import LossConfig
from models.inputs import FIRST
from models.layers import derive


class Negatives(NamedTuple):
    """What one lane of a step is told apart from.

    items         (1, negatives) int32, drawn with replacement and shared by all positions, or (n, negatives), by none
    log_expected  (items,) float32, log of how often each item is expected among them; -inf: never drawn
    """

    items: tf.Tensor
    log_expected: tf.Tensor


class Sampler:
    """Draws items with a probability that is their number of training events to the power of `popularity_power`.

    Items without training events are never drawn: their vectors come from content alone, and would only be pushed down.
    """

    def __init__(self, train_events: np.ndarray, config: LossConfig) -> None:
        """Args:
        train_events: (items,) int64.
        """
        real = (np.arange(len(train_events)) >= FIRST) & (train_events > 0)
        weights = np.where(real, np.maximum(train_events, 1).astype(np.float64) ** config.popularity_power, 0.0)
        with np.errstate(divide="ignore"):
            self._logits = tf.constant(np.log(weights / max(weights.sum(), 1e-300))[None], tf.float32)  # (1, items)
        self._count, self._number, self._shared = config.negatives, derive(0, "negatives"), not config.per_position
        self._log_expected = self._logits[0] + float(np.log(config.negatives))

    def draw(self, seed: tf.Tensor, positions: int | tf.Tensor) -> Negatives:
        """For so many positions, the same for the same seed, (2,) int32."""
        own = tf.random.experimental.stateless_fold_in(seed, self._number)
        rows = 1 if self._shared else positions
        drawn = tf.random.stateless_categorical(self._logits, rows * self._count, own, dtype=tf.int32)
        items = tf.reshape(drawn, [rows, self._count])
        return Negatives(tf.ensure_shape(items, [1 if self._shared else None, self._count]), self._log_expected)
