"""The rating head: the value a user would give an item."""

from __future__ import annotations

import tensorflow as tf

from models.network.layers import Composite, dense, derive


class RatingHead(Composite):
    """A hidden layer over both vectors and their product, then one number: the value's z-score."""

    def __init__(self, dim: int, seed: int, name: str = "rating_head") -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.hidden = dense(dim, own, "hidden", activation="relu")
        self.value = dense(1, own, "value")

    def call(self, states: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """User vectors (n, dim) and item vectors (n, dim) to z-scores (n,)."""
        pair = tf.concat([states, items, states * items], axis=-1)  # (n, 3 dim)
        return tf.squeeze(self.value(self.hidden(pair)), axis=-1)  # (n,)
