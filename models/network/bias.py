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
ROUNDING = 1e-9  # of a logarithm that is a whole number


def position_buckets(length: tf.Tensor) -> tf.Tensor:
    """(length, length) int32: the bucket of how many positions column j lies before row i; 0 also where it lies after."""
    places = tf.range(length)
    distance = tf.clip_by_value(places[:, None] - places[None, :], 0, FARTHEST)
    return tf.gather(tf.constant([_position_bucket(d) for d in range(FARTHEST + 1)], tf.int32), distance)


def _position_bucket(distance: int) -> int:
    if distance < NEAR:
        return distance
    grows = (POSITION_BUCKETS - NEAR) / math.log(FARTHEST / NEAR)
    far = math.log(distance / NEAR) * grows + ROUNDING
    return min(NEAR + math.floor(far), POSITION_BUCKETS - 1)


def elapsed(gaps: tf.Tensor) -> tf.Tensor:
    """(batch, length) float64: seconds since the first event, as far as gaps tell them, that is within a factor of two. In
    float32 a second would be lost after half a year."""
    return tf.cumsum(seconds(gaps), axis=1)


def seconds(gaps: tf.Tensor) -> tf.Tensor:
    """The least number of seconds that each gap bucket stands for, float64; 0 for no event before."""
    least = tf.constant([0.0, *(2.0**bits - 1.0 for bits in range(GAP_BUCKETS - 1))], tf.float64)
    return tf.gather(least, gaps)


def time_buckets(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """(batch, length, length) int32: the bucket of rows[i] - columns[j], both (batch, length) in seconds; 0 where negative.

    Sums of `seconds` often lie where a bucket begins, and there libraries differ on which side the logarithm falls (that of an
    export is float32, whatever is asked for). All agree on the power of two that is nearest, and with it is compared exactly.
    """
    apart = 1.0 + tf.cast(tf.maximum(rows[:, :, None] - columns[:, None, :], 0.0), tf.float32)
    nearest = tf.cast(tf.math.log(apart) * (1.0 / math.log(2.0)) + 0.5, tf.int32)
    nearest = tf.minimum(nearest, GAP_BUCKETS - 1)
    begins = tf.gather(tf.constant([2.0**bits for bits in range(GAP_BUCKETS)], tf.float32), nearest)
    return nearest - tf.cast(apart < begins, tf.int32)


class RelativeBias(Composite):
    """The bias of one kind of attention, for each head; the blocks share it. None where the configuration has none."""

    def __init__(self, config: ModelConfig, seed: int, name: str) -> None:
        super().__init__(name=name, autocast=False)  # seconds need all their digits
        own = derive(seed, name)
        self.positions = embedding(POSITION_BUCKETS, config.heads, own, "positions") if config.relative_positions else None
        self.times = embedding(GAP_BUCKETS, config.heads, own, "times") if config.relative_times else None

    def call(self, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor | None:
        """What is added to the scores of attention; None where nothing is declared.

        Args:
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
