import math

import numpy as np
import pytest
import tensorflow as tf

from models.network.layers import Dropout, dense, derive, project, sine_positions


def test_sine_positions_follow_the_formula():
    expected = [
        [f(position / 10000 ** (2 * pair / 6)) for pair in range(3) for f in (math.sin, math.cos)] for position in range(50)
    ]
    np.testing.assert_allclose(sine_positions(50, 6), expected, atol=1e-5)


def test_sine_positions_refuse_an_odd_width():
    with pytest.raises(ValueError, match=r"dim must be even, sines and cosines alternate\. Received dim=5\."):
        sine_positions(4, 5)


def test_dropout_is_the_same_for_the_same_seed_and_differs_for_another():
    layer, x = Dropout(0.5, seed=3), tf.ones([20, 20])
    first, again, other = layer(x, seed=(1, 2)), layer(x, seed=(1, 2)), layer(x, seed=(1, 3))
    np.testing.assert_array_equal(first, again)
    assert np.mean(first.numpy() != other.numpy()) > 0.3


def test_two_dropouts_draw_different_masks_from_one_seed():
    x = tf.ones([20, 20])
    masks = [Dropout(0.5, seed=3, name=name)(x, seed=(1, 2)).numpy() for name in ("one", "two")]
    assert np.mean(masks[0] != masks[1]) > 0.3


def test_dropout_zeroes_its_share_and_scales_the_rest():
    y = Dropout(0.2, seed=3)(tf.ones([100, 1000]), seed=(1, 2)).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.8)}
    assert abs(np.mean(y == 0) - 0.2) < 0.01  # 5 standard deviations are 0.0063


def test_dropout_without_a_seed_changes_nothing():
    x = tf.random.stateless_normal([3, 4], (1, 2))
    np.testing.assert_array_equal(Dropout(0.9, seed=3)(x), x)


def test_dropout_without_a_rate_changes_nothing():
    x = tf.random.stateless_normal([3, 4], (1, 2))
    np.testing.assert_array_equal(Dropout(0.0, seed=3)(x, seed=(1, 2)), x)


def test_every_name_and_seed_derives_its_own_seed():
    seeds = {derive(seed, name) for seed in range(100) for name in ("encoder", "decoder", "item_tower")}
    assert len(seeds) == 300
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_projection_multiplies_the_last_axis():
    layer, x = dense(5, seed=1, name="d"), np.random.default_rng(0).normal(size=(2, 3, 4)).astype("f")
    y = project(layer, tf.constant(x))
    kernel, bias = (w.numpy() for w in layer.trainable_variables)
    np.testing.assert_allclose(y, np.einsum("bli,io->blo", x, kernel) + bias, atol=1e-5)
