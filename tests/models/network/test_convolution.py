import numpy as np
import tensorflow as tf

from models.network.blocks import FeedForward
from models.network.convolution import CausalConvolution, causal_convolution


def test_each_channel_is_a_weighted_sum_of_itself_at_the_last_positions():
    rng = np.random.default_rng(4)
    x, kernel = rng.normal(size=(2, 5, 3)), rng.normal(size=(4, 3))
    layer = CausalConvolution(channels=3, width=4)
    layer.kernel.assign(kernel)
    expected = np.zeros_like(x)
    for t in range(5):
        for back in range(min(4, t + 1)):
            expected[:, t] += kernel[back] * x[:, t - back]
    np.testing.assert_allclose(layer(tf.constant(x, tf.float32)), expected, atol=1e-5)


def test_gradients_are_the_sums_that_the_definition_has():
    rng = np.random.default_rng(4)
    x, kernel, upstream = rng.normal(size=(2, 5, 3)), rng.normal(size=(4, 3)), rng.normal(size=(2, 5, 3))
    d_x, d_kernel = np.zeros_like(x), np.zeros_like(kernel)
    for t in range(5):
        for back in range(min(4, t + 1)):  # y[t] += kernel[back] * x[t - back]
            d_x[:, t - back] += upstream[:, t] * kernel[back]
            d_kernel[back] += (upstream[:, t] * x[:, t - back]).sum(axis=0)
    inputs = tf.constant(x, tf.float32), tf.constant(kernel, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(causal_convolution(*inputs) * tf.constant(upstream, tf.float32))
    found = tape.gradient(total, inputs)
    np.testing.assert_allclose(found[0], d_x, atol=1e-5)
    np.testing.assert_allclose(found[1], d_kernel, atol=1e-5)


def test_at_first_a_convolution_changes_nothing():
    x = tf.random.stateless_normal([2, 5, 3], seed=(1, 2))
    np.testing.assert_array_equal(CausalConvolution(channels=3, width=3)(x), x)


def test_the_inner_layer_is_squared_where_so_declared():
    x = tf.random.stateless_normal([2, 5, 4], seed=(1, 2))
    plain, squared = (FeedForward(4, 8, squared, seed=1) for squared in (False, True))
    found = plain(x), squared(x)
    inner = np.maximum(x.numpy() @ plain.inner.kernel.numpy(), 0)  # biases are 0 at first
    np.testing.assert_allclose(found[0], inner @ plain.outer.kernel.numpy(), atol=1e-5)
    np.testing.assert_allclose(found[1], inner**2 @ plain.outer.kernel.numpy(), atol=1e-5)
