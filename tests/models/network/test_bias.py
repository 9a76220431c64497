import math

import numpy as np
import tensorflow as tf

from models.config import ModelConfig
from models.inputs import GAP_BUCKETS
from models.network.bias import FARTHEST, NEAR, POSITION_BUCKETS, RelativeBias, elapsed, position_buckets, time_buckets


def gap_bucket(seconds: float) -> int:
    """As models.inputs.GAP_BUCKETS says."""
    return min(1 + math.floor(math.log2(1 + seconds)), GAP_BUCKETS - 1)


def test_near_distances_have_a_bucket_each_and_far_ones_share():
    buckets = position_buckets(tf.constant(FARTHEST + 50)).numpy()
    for i in (0, 3, 40, FARTHEST + 20):
        for j in range(max(0, i - NEAR + 1), i + 1):
            assert buckets[i, j] == i - j
    column = buckets[:, 0]  # by distance
    assert (np.diff(column) >= 0).all()
    assert column[NEAR] == NEAR
    assert column[FARTHEST:].tolist() == [POSITION_BUCKETS - 1] * 50
    assert (buckets[np.triu_indices(30, 1)] == 0).all()  # the future, which attention does not see


def test_elapsed_time_is_the_sum_of_the_gaps_within_a_factor_of_two():
    gaps = [0, 10, 3_600, 86_400, 5]
    found = elapsed(tf.constant([[0, *map(gap_bucket, gaps[1:])]])).numpy()[0]
    whole = np.cumsum(gaps)
    assert (found <= whole).all()
    assert (found >= (whole - 4) / 2).all()


def test_seconds_count_after_years():
    gaps = [0, 2**26 - 1, 1, 1, 3, 1]  # each the least of its bucket
    times = elapsed(tf.constant([[0, *map(gap_bucket, gaps[1:])]]))
    found = time_buckets(times, times).numpy()[0, -1]
    assert found.tolist() == [gap_bucket(since) - 1 for since in np.cumsum([*gaps[:0:-1]])[::-1].tolist()] + [0]


def test_time_buckets_are_logarithms_of_what_lies_between():
    rows, columns = [0.0, 100.0, 1e12], [0.0, 90.0, 200.0]
    found = time_buckets(tf.constant([rows]), tf.constant([columns])).numpy()[0]
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            assert found[i, j] == min(math.floor(math.log2(1 + max(row - column, 0))), GAP_BUCKETS - 1)


def test_the_bias_is_the_sum_of_what_its_tables_say_of_the_two_buckets():
    layer = RelativeBias(ModelConfig(dim=8, heads=2, relative_positions=True, relative_times=True), 0, "bias")
    times = np.array([[0.0, 5.0, 5.0, 100_000.0]], "f")
    found = layer(times, times).numpy()
    positions, of_time = layer.positions.embeddings.numpy(), layer.times.embeddings.numpy()
    for h in range(2):
        for i in range(4):
            for j in range(i + 1):
                seconds = math.floor(math.log2(1 + times[0, i] - times[0, j]))
                assert found[0, h, i, j] == positions[i - j, h] + of_time[seconds, h]


def test_without_either_there_is_none():
    assert RelativeBias(ModelConfig(), 0, "bias")(tf.zeros([1, 3]), tf.zeros([1, 3])) is None
