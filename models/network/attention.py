"""Causal multi-head attention, to oneself or from one sequence to another of the same length."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from models.network.convolution import CausalConvolution
from models.network.layers import Composite, Dropout, dense, derive, project
from models.network.trace import Trace

MASKED = -1e9  # in the place of minus infinity, which softmax turns into NaN where nothing else is left


def _split(x: tf.Tensor, heads: int) -> tf.Tensor:
    shape = tf.shape(x)
    parts = tf.reshape(x, [shape[0], shape[1], heads, x.shape[-1] // heads])  # (batch, length, heads, dim / heads)
    return tf.transpose(parts, [0, 2, 1, 3])  # (batch, heads, length, dim / heads)


def _merge(x: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(x)
    rows = tf.transpose(x, [0, 2, 1, 3])  # (batch, length, heads, dim / heads)
    return tf.reshape(rows, [shape[0], shape[2], x.shape[1] * x.shape[3]])  # (batch, length, dim)


def causal_attention(
    queries: tf.Tensor,
    keys: tf.Tensor,
    values: tf.Tensor,
    heads: int,
    bias: tf.Tensor | None = None,
    dropout: Callable[[tf.Tensor], tf.Tensor] = lambda weights: weights,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Scaled dot product attention in which position i sees positions 0 to i.

    There is no padding mask: padding stands on the right, so a real position never sees it, and what padding computes
    is weighted 0 by every loss.

    Args:
        queries, keys, values: (batch, length, dim), dim a multiple of heads.
        bias: added to the scores, (batch or 1, heads, length, length).
        dropout: applied to the weights.
    Returns:
        (batch, length, dim), and the weights (batch, heads, length, length), each row of which adds up to 1.
    Reference: Vaswani et al. 2017, section 3.2, https://arxiv.org/abs/1706.03762
    """
    width = queries.shape[-1] // heads
    q, k, v = _split(queries * width**-0.5, heads), _split(keys, heads), _split(values, heads)
    length = tf.shape(queries)[1]
    future = (1.0 - tf.linalg.band_part(tf.ones([length, length]), -1, 0)) * MASKED  # 0 at the past and the present
    bias = future if bias is None else tf.cast(bias, tf.float32) + future  # together first: scores are the largest tensor
    scores = tf.cast(tf.matmul(q, k, transpose_b=True), tf.float32)  # (batch, heads, length, length)
    weights = tf.nn.softmax(scores + bias)  # (batch, heads, length, length)
    return _merge(tf.matmul(tf.cast(dropout(weights), v.dtype), v)), weights


class _Attention(Composite):
    """What both kinds have: heads, dropout of the weights, and the projection of what the heads have found."""

    def __init__(self, dim: int, heads: int, dropout: float, seed: int, name: str) -> None:
        super().__init__(name=name)
        self.seed, self.heads = derive(seed, name), heads
        self.output_dense = dense(dim, self.seed, "output")
        self.dropout = Dropout(dropout, self.seed)

    def attend(
        self,
        queries: tf.Tensor,
        keys: tf.Tensor,
        values: tf.Tensor,
        bias: tf.Tensor | None,
        seed: tf.Tensor | None,
        trace: Trace | None,
    ) -> tf.Tensor:
        found, weights = causal_attention(
            queries, keys, values, self.heads, bias, lambda weights: self.dropout(weights, seed=seed)
        )
        if trace is not None:
            trace.put(self.name, weights)
        return project(self.output_dense, found)


class SelfAttention(_Attention):
    """Causal attention of a sequence to itself."""

    def __init__(self, dim: int, heads: int, dropout: float, convolution: int, seed: int, name: str = "self_attention") -> None:
        super().__init__(dim, heads, dropout, seed, name)
        self.inputs = dense(3 * dim, self.seed, "inputs")  # queries, keys and values in one product
        self.convolution = CausalConvolution(3 * dim, convolution) if convolution > 1 else None

    def call(
        self,
        x: tf.Tensor,
        bias: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        trace: Trace | None = None,
    ) -> tf.Tensor:
        """(batch, length, dim) to (batch, length, dim); `bias` as of causal_attention."""
        inputs = project(self.inputs, x)  # (batch, length, 3 dim)
        if self.convolution is not None:
            inputs = self.convolution(inputs)
        queries, keys, values = tf.split(inputs, 3, axis=-1)  # each (batch, length, dim)
        return self.attend(queries, keys, values, bias, seed, trace)


class CrossAttention(_Attention):
    """Causal attention of requests to a memory: request i sees what is remembered of events 0 to i."""

    def __init__(self, dim: int, heads: int, dropout: float, seed: int, name: str = "cross_attention") -> None:
        super().__init__(dim, heads, dropout, seed, name)
        self.queries = dense(dim, self.seed, "queries")
        self.memory = dense(2 * dim, self.seed, "memory")  # keys and values

    def call(
        self,
        x: tf.Tensor,
        memory: tf.Tensor,
        bias: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        trace: Trace | None = None,
    ) -> tf.Tensor:
        """(batch, length, dim) and memory (batch, length, dim) to (batch, length, dim); `bias` as of causal_attention."""
        keys, values = tf.split(project(self.memory, memory), 2, axis=-1)  # each (batch, length, dim)
        return self.attend(project(self.queries, x), keys, values, bias, seed, trace)
