"""What training minimises: the loss of the next item among all or drawn items, and the loss of a value."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from models.config import LossConfig
from models.inputs import FIRST
from models.network.losses import calibrated_item_loss, like_loss, next_item_loss, sampled_item_loss, value_loss
from models.network.negatives import Sampler
from models.signals.likes import is_like


class Objective:
    """The losses that a configuration declares."""

    def __init__(self, config: LossConfig, train_events: np.ndarray | None = None, like_score: float | None = None) -> None:
        """Prepares what the declared losses need.

        Args:
            train_events: (items,) int64, training events of each item; needed where negatives are drawn.
            like_score: z-score of the value from which on an item is liked; needed where `like_from` is declared.
        """
        self.config, self.like_score = config, like_score
        self._sampler: Sampler | None = None
        if config.negatives:
            if train_events is None:
                raise ValueError("negatives are drawn by training events, so train_events must be given.")
            self._sampler = Sampler(train_events, config)
            share = config.negatives / max(int((train_events[FIRST:] > 0).sum()) - 1, 1)  # of the items, drawn for a target
            calibration = config.calibration if config.softmax == "gbce" else 0.0
            self._power = 1.0 - calibration * (1.0 - min(share, 1.0))

    def next_item(
        self, states: tf.Tensor, item_vectors: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor, seed: tf.Tensor | None
    ) -> tf.Tensor:
        """() float32; arguments as of losses.next_item_loss, and the seed that negatives are drawn with, (2,) int32."""
        if self._sampler is None:
            return next_item_loss(states, item_vectors, targets, weights)
        if seed is None:
            raise ValueError("negatives are drawn, so a seed must be given.")
        negatives = self._sampler.draw(seed, tf.shape(states)[0])
        if self.config.softmax == "sampled":
            return sampled_item_loss(states, item_vectors, targets, weights, negatives)
        return calibrated_item_loss(states, item_vectors, targets, weights, negatives, self._power)

    def value(self, predicted: tf.Tensor, actual: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """() float32; arguments as of losses.value_loss."""
        if self.like_score is None:
            return value_loss(predicted, actual, weights)
        return like_loss(predicted, tf.cast(is_like(actual, self.like_score), tf.float32), weights)
