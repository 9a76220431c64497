"""What attention adds to its scores for how far apart two events are, in positions and in time.

Reference: Raffel et al. 2020, section 2.1, https://arxiv.org/abs/1910.10683 (positions); Zhai et al. 2024, section 3.2,
https://arxiv.org/abs/2402.17152 (time)
"""

from __future__ import annotations

import math

import tensorflow as tf

from models.config import ModelConfig
from models.inputs import GAP_BUCKETS
from models.network.layers import Composite, derive, embedding

NEAR, POSITION_BUCKETS = 16, 32  # distances below NEAR have a bucket each; the others share by the logarithm
FARTHEST = 1024  # positions from which on all are far


def position_buckets(length: tf.Tensor) -> tf.Tensor:
    """(length, length) int32: the bucket of how many positions column j lies before row i; 0 also where it lies after."""
    places = tf.range(length)
    distance = tf.maximum(places[:, None] - places[None, :], 0)
    grows = (POSITION_BUCKETS - NEAR) / math.log(FARTHEST / NEAR)
    far = NEAR + tf.cast(tf.math.log(tf.maximum(tf.cast(distance, tf.float32), NEAR) / NEAR) * grows, tf.int32)
    return tf.where(distance < NEAR, distance, tf.minimum(far, POSITION_BUCKETS - 1))


def elapsed(gaps: tf.Tensor) -> tf.Tensor:
    """(batch, length) float64: seconds since the first event, as far as gaps tell them, that is within a factor of two. In
    float32 a second would be lost after half a year."""
    return tf.cumsum(seconds(gaps), axis=1)


def seconds(gaps: tf.Tensor) -> tf.Tensor:
    """The least number of seconds that each gap bucket stands for, float64; 0 for no event before."""
    least = tf.constant([0.0, *(2.0**bits - 1.0 for bits in range(GAP_BUCKETS - 1))], tf.float64)
    return tf.gather(least, gaps)


def time_buckets(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """(batch, length, length) int32: the bucket of rows[i] - columns[j], both (batch, length) in seconds; 0 where negative."""
    apart = tf.cast(tf.maximum(rows[:, :, None] - columns[:, None, :], 0.0), tf.float32)
    return tf.minimum(tf.cast(tf.math.log(1.0 + apart) / math.log(2.0), tf.int32), GAP_BUCKETS - 1)


class RelativeBias(Composite):
    """The bias of one kind of attention, for each head; the blocks share it. None where the configuration has none."""

    def __init__(self, config: ModelConfig, seed: int, name: str) -> None:
        super().__init__(name=name, autocast=False)  # seconds need all their digits
        own = derive(seed, name)
        self.positions = embedding(POSITION_BUCKETS, config.heads, own, "positions") if config.relative_positions else None
        self.times = embedding(GAP_BUCKETS, config.heads, own, "times") if config.relative_times else None

    def call(self, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor | None:
        """Args:
            rows: (batch, length) float64, when what attends happens, in seconds.
            columns: (batch, length) float64, when what it attends to has happened.
        Returns:
            (batch or 1, heads, length, length).
        """
        bias = None
        if self.positions is not None:
            bias = tf.transpose(self.positions(position_buckets(tf.shape(rows)[1])), [2, 0, 1])[None]
        if self.times is not None:
            of_time = tf.transpose(self.times(time_buckets(rows, columns)), [0, 3, 1, 2])
            bias = of_time if bias is None else bias + of_time
        return bias
