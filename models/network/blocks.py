"""Pre-norm Transformer blocks: each part reads a normalised copy and adds to the stream.

Reference: Xiong et al. 2020, https://arxiv.org/abs/2002.04745
"""

from __future__ import annotations

import tensorflow as tf

from models.config import ModelConfig
from models.network.attention import CrossAttention, SelfAttention
from models.network.layers import Composite, Dropout, dense, derive, norm, project
from models.network.trace import Trace


class FeedForward(Composite):
    """dim -> inner -> dim with a rectifier between, squared where so declared, position by position.

    Reference: So et al. 2021, section 4.1, https://arxiv.org/abs/2109.08668, for the square
    """

    def __init__(self, dim: int, inner: int, squared: bool, seed: int, name: str = "feed_forward") -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.squared = squared
        self.inner = dense(inner, own, "inner", activation="relu")
        self.outer = dense(dim, own, "outer")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """(batch, length, dim) to (batch, length, dim)."""
        inner = project(self.inner, x)  # (batch, length, inner)
        return project(self.outer, tf.square(inner) if self.squared else inner)


class EncoderBlock(Composite):
    """Self-attention, then feed-forward."""

    def __init__(self, config: ModelConfig, seed: int, name: str) -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.attention_norm, self.feed_forward_norm = norm("attention_norm"), norm("feed_forward_norm")
        self.attention = SelfAttention(config.dim, config.heads, config.attention_dropout, config.convolution, own)
        self.feed_forward = FeedForward(config.dim, config.dim * config.feed_forward, config.activation == "squared_relu", own)
        self.attention_dropout = Dropout(config.dropout, own, "attention_dropout")
        self.feed_forward_dropout = Dropout(config.dropout, own, "feed_forward_dropout")

    def call(
        self,
        x: tf.Tensor,
        bias: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        trace: Trace | None = None,
    ) -> tf.Tensor:
        """(batch, length, dim) to (batch, length, dim); `bias` as of causal_attention."""
        seen = self.attention(self.attention_norm(x), bias=bias, seed=seed, trace=trace)
        x = x + self.attention_dropout(seen, seed=seed)
        return x + self.feed_forward_dropout(self.feed_forward(self.feed_forward_norm(x)), seed=seed)


class DecoderBlock(Composite):
    """Self-attention, cross-attention to a memory, then feed-forward."""

    def __init__(self, config: ModelConfig, seed: int, name: str) -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.self_norm, self.cross_norm, self.feed_forward_norm = (
            norm("self_norm"),
            norm("cross_norm"),
            norm("feed_forward_norm"),
        )
        self.self_attention = SelfAttention(config.dim, config.heads, config.attention_dropout, config.convolution, own)
        self.cross_attention = CrossAttention(config.dim, config.heads, config.attention_dropout, own)
        self.feed_forward = FeedForward(config.dim, config.dim * config.feed_forward, config.activation == "squared_relu", own)
        self.self_dropout = Dropout(config.dropout, own, "self_dropout")
        self.cross_dropout = Dropout(config.dropout, own, "cross_dropout")
        self.feed_forward_dropout = Dropout(config.dropout, own, "feed_forward_dropout")

    def call(
        self,
        x: tf.Tensor,
        memory: tf.Tensor,
        self_bias: tf.Tensor | None = None,
        cross_bias: tf.Tensor | None = None,
        seed: tf.Tensor | None = None,
        trace: Trace | None = None,
    ) -> tf.Tensor:
        """(batch, length, dim) and memory (batch, length, dim), already normalised, to (batch, length, dim)."""
        seen = self.self_attention(self.self_norm(x), bias=self_bias, seed=seed, trace=trace)
        x = x + self.self_dropout(seen, seed=seed)
        remembered = self.cross_attention(self.cross_norm(x), memory, bias=cross_bias, seed=seed, trace=trace)
        x = x + self.cross_dropout(remembered, seed=seed)
        return x + self.feed_forward_dropout(self.feed_forward(self.feed_forward_norm(x)), seed=seed)
