"""The small parts that every block is made of: derived seeds, projections, sinusoidal positions, stateless dropout."""

from __future__ import annotations

import zlib

import keras
import tensorflow as tf

from models.config import ModelConfig

INIT_STDDEV = 0.02  # of embeddings and of what is added to them: small, so that each grows as far as it helps
EPSILON = 1e-6


class Composite(keras.layers.Layer):
    """A layer of layers, which are built as they are first called.

    Without a `build` of its own Keras would trace the call to learn shapes, and that of every layer within it once more.
    """

    def build(self, input_shape: object) -> None:
        """Nothing is left to be built: weights that are no layer's are made in the constructor."""


def derive(seed: int, name: str) -> int:
    """A seed in [0, 2**31) of its own for the part called `name`; adding a part leaves the seeds of the others alone."""
    return zlib.crc32(f"{seed}/{name}".encode()) & 0x7FFFFFFF


def dense(units: int, seed: int, name: str, stddev: float | None = None, **options: object) -> keras.layers.Dense:
    """A Dense layer with a derived seed: Glorot uniform, or normal with `stddev` where one is given."""
    own = derive(seed, name)
    uniform = keras.initializers.GlorotUniform(seed=own)
    initial = uniform if stddev is None else keras.initializers.RandomNormal(stddev=stddev, seed=own)
    return keras.layers.Dense(units, kernel_initializer=initial, name=name, **options)


def embedding(rows: int, dim: int, seed: int, name: str, stddev: float = INIT_STDDEV) -> keras.layers.Embedding:
    """An Embedding layer with a derived seed, normal with `stddev`."""
    initial = keras.initializers.RandomNormal(stddev=stddev, seed=derive(seed, name))
    return keras.layers.Embedding(rows, dim, embeddings_initializer=initial, name=name)


def mean_labels(layer: keras.layers.Embedding, labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """(n, dim): the sum over columns of labels of the mean embedding of each.

    Args:
        labels: (n, slots) int32, 0 padding.
        weights: (n, slots) float32, of each label in its column's mean; 0 at padding.
    """
    embeddings = layer(labels)  # (n, slots, dim)
    return tf.reduce_sum(embeddings * tf.cast(weights, embeddings.dtype)[:, :, None], axis=1)


def norm(name: str) -> keras.layers.LayerNormalization:
    return keras.layers.LayerNormalization(epsilon=EPSILON, name=name)


def project(layer: keras.layers.Layer, x: tf.Tensor) -> tf.Tensor:
    """Applies `layer` to the last axis of (batch, length, dim), as one matrix product.

    Keras multiplies a tensor of three axes as `batch` small products, whose gradient is a kernel per example.
    """
    shape = tf.shape(x)
    y = layer(tf.reshape(x, [-1, x.shape[-1]]))  # (batch * length, units)
    return tf.reshape(y, [shape[0], shape[1], y.shape[-1]])  # (batch, length, units)


def sine_positions(length: int | tf.Tensor, dim: int) -> tf.Tensor:
    """Sinusoidal position encodings, to be added to the event embeddings.

    Args:
        length: number of positions; position 0 is the oldest event kept.
        dim: width of the embeddings, even.
    Returns:
        (length, dim) float32 in [-1, 1]: sine in even columns, cosine in odd ones.
    Raises:
        ValueError: if `dim` is odd.
    Reference: Vaswani et al. 2017, section 3.5, https://arxiv.org/abs/1706.03762
    """
    if dim % 2:
        raise ValueError(f"dim must be even, sines and cosines alternate. Received dim={dim}.")
    column = tf.range(dim // 2, dtype=tf.float32)  # (dim / 2,)
    position = tf.cast(tf.range(length), tf.float32)  # (length,)
    angle = position[:, None] * tf.pow(10000.0, -2.0 * column / dim)[None, :]  # (length, dim / 2)
    pairs = tf.stack([tf.sin(angle), tf.cos(angle)], axis=-1)  # (length, dim / 2, 2)
    return tf.reshape(pairs, [-1, dim])  # (length, dim)


class Positions(Composite):
    """What is added to each event for its position: sines of a learned scale, a learned vector, or nothing.

    Embeddings start small, and sines as small: of unit length they would dominate them.

    Reference: Li et al. 2019, section 3.2, https://arxiv.org/abs/1809.08895, for the scale
    """

    def __init__(self, config: ModelConfig, max_length: int, seed: int, name: str = "positions") -> None:
        super().__init__(name=name)
        own, scale = derive(seed, name), INIT_STDDEV * config.dim**0.5  # events are scaled by sqrt(dim)
        self.table = self.scale = None
        if config.positions == "learned":
            self.table = embedding(max_length, config.dim, own, "table", stddev=scale)
        elif config.positions == "sine":
            self.scale = self.add_weight(shape=(), initializer=keras.initializers.Constant(scale), name="position_scale")

    def call(self, events: tf.Tensor) -> tf.Tensor:
        """(batch, length, dim), length at most max_length, to the same with positions added."""
        length = tf.shape(events)[1]
        if self.table is not None:
            return events + self.table(tf.range(length))
        if self.scale is not None:
            return events + self.scale * tf.cast(sine_positions(length, events.shape[-1]), events.dtype)
        return events


class Dropout(keras.layers.Layer):
    """Dropout whose mask is a function of the call's seed and the layer's own number, and of nothing else.

    A run that resumes at step n therefore draws the masks that an undisturbed run draws there.
    """

    def __init__(self, rate: float, seed: int, name: str = "dropout") -> None:
        super().__init__(name=name)
        self.rate, self.number = rate, derive(seed, name)

    def call(self, x: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """x with a share `rate` of zeros, the rest scaled to keep the mean; x itself where seed is None.

        Args:
            x: any shape.
            seed: (2,) int32, one per step; None means inference.
        """
        if seed is None or self.rate == 0:
            return x
        own = tf.random.experimental.stateless_fold_in(seed, self.number)
        return tf.nn.experimental.stateless_dropout(x, self.rate, seed=own)
