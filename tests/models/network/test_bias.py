import math

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx

from models.config import ModelConfig
from models.inputs import GAP_BUCKETS
from models.network.bias import FARTHEST, NEAR, POSITION_BUCKETS, RelativeBias, elapsed, position_buckets, time_buckets
from models.scoring.export import OPSET


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


@pytest.mark.parametrize("together", [1, 8, 9])  # libraries take the logarithm of as many otherwise
def test_a_time_bucket_begins_at_a_power_of_two_in_the_model_and_in_its_export(together):
    begins = np.array([[2.0**bits - 1] * together for bits in range(GAP_BUCKETS)])
    inside = np.array([[2.0**bits * 1.4 - 1] * together for bits in range(GAP_BUCKETS)])
    graph = tf.function(lambda rows: time_buckets(rows, tf.zeros_like(rows)[:, :1]), autograph=False)
    proto, _ = tf2onnx.convert.from_function(graph, [tf.TensorSpec([None, None], tf.float64, name="rows")], opset=OPSET)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for seconds in (begins, inside):
        for bits, row in enumerate(seconds[:, None]):  # each alone: (1, together)
            expected = [[[bits]] * together]
            assert time_buckets(tf.constant(row), tf.zeros([1, 1], tf.float64)).numpy().tolist() == expected
            assert graph(tf.constant(row)).numpy().tolist() == expected
            assert session.run(None, {"rows": row})[0].tolist() == expected


def test_a_position_bucket_that_begins_at_a_whole_number_of_positions_begins_there():
    column = position_buckets(tf.constant(FARTHEST + 1)).numpy()[:, 0]
    half = NEAR + (POSITION_BUCKETS - NEAR) // 2  # in logarithms, 128 lies in the middle of 16 and 1024
    assert column[127:129].tolist() == [half - 1, half]


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
