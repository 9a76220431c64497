"""A convolution over the last few positions, each channel by itself: what stands side by side is seen side by side.

Reference: So et al. 2021, section 4.2, https://arxiv.org/abs/2109.08668
"""

from __future__ import annotations

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
        self.width = width
        self.kernel = self.add_weight(shape=start.shape, initializer=lambda *_, **__: tf.constant(start), name="kernel")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """(batch, length, channels) to (batch, length, channels)."""
        length, most = tf.shape(x)[1], self.width - 1
        before = tf.pad(x, [[0, 0], [most, 0], [0, 0]])  # (batch, most + length, channels)
        return tf.add_n([before[:, most - back : most - back + length] * self.kernel[back] for back in range(self.width)])
