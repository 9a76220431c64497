"""A convolution over the last few positions, each channel by itself: what stands side by side is seen side by side.

Reference: So et al. 2021, section 4.2, https://arxiv.org/abs/2109.08668
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf


class CausalConvolution(keras.layers.Layer):
    """y[t] = sum over b below `width` of kernel[b] * x[t - b]; positions before the first count as 0.

    It starts as the identity, so at first there is nothing but what stands at the position itself.
    """

    def __init__(self, channels: int, width: int, name: str = "convolution") -> None:
        super().__init__(name=name)
        start = np.zeros((width, channels), np.float32)
        start[0] = 1
        self.kernel = self.add_weight(shape=start.shape, initializer=lambda *_, **__: tf.constant(start), name="kernel")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """(batch, length, channels) to (batch, length, channels)."""
        return causal_convolution(x, tf.convert_to_tensor(self.kernel))


@tf.custom_gradient
def causal_convolution(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """x (batch, length, channels), kernel (width, channels); the gradient of a slice, which is mostly zeros, is never made.

    TensorFlow's depthwise product has no gradient on GPUs that is the same each time.
    """
    width, length = kernel.shape[0], tf.shape(x)[1]
    padded = tf.pad(x, [[0, 0], [width - 1, 0], [0, 0]])
    earlier = [x, *(padded[:, width - 1 - back : width - 1 - back + length] for back in range(1, width))]  # x[t - back]

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        after = tf.pad(upstream, [[0, 0], [0, width - 1], [0, 0]])
        d_x = tf.add_n([after[:, back : back + length] * kernel[back] for back in range(width)])
        return d_x, tf.stack([tf.reduce_sum(upstream * shifted, axis=[0, 1]) for shifted in earlier])

    return tf.add_n([shifted * kernel[back] for back, shifted in enumerate(earlier)]), gradient
