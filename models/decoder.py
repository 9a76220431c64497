"""The request decoder: at each position, what a user would want who asked right then."""

from __future__ import annotations

import keras
import tensorflow as tf

from models.blocks import DecoderBlock
from models.config import ModelConfig
from models.inputs import GAP_BUCKETS, Sizes
from models.layers import SIDE_STDDEV, Dropout, dense, derive, embedding, norm, project, sine_positions

HOURS, WEEKDAYS = 25, 8  # 0 padding, 1 + hour; 0 padding, 1 (Sunday) to 7


class RequestEmbedding(keras.layers.Layer):
    """The request token: the last event's own item, and what is known when the recommendation is asked for."""

    def __init__(self, config: ModelConfig, sizes: Sizes, seed: int, name: str = "request_embedding") -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.scale = config.dim**0.5
        self.width = sizes.user_features
        rows = {"request_gaps": GAP_BUCKETS, "request_hours": HOURS, "request_weekdays": WEEKDAYS}
        self.context = {n: embedding(r, config.dim, own, n) for n, r in rows.items()} if config.request_context else {}
        self.features = dense(config.dim, own, "features", SIDE_STDDEV) if self.width else None
        self.dropout = Dropout(config.dropout, own)

    def call(self, items: tf.Tensor, history: dict[str, tf.Tensor], seed: tf.Tensor | None = None) -> tf.Tensor:
        """The request tokens, (batch, length, dim).

        Args:
            items: (batch, length, dim), vectors of the last event's item before each request.
            history: request_gaps, request_hours, request_weekdays (batch, length) int32;
                user_features (batch, length * user_features) float32, row by row, read only where there are any.
        """
        shape = tf.shape(items)
        requests = items  # a token without the last event learns half as fast
        for name, layer in self.context.items():
            requests += layer(history[name])  # (batch, length, dim)
        if self.features is not None:
            features = tf.reshape(history["user_features"], [shape[0], shape[1], self.width])
            requests += project(self.features, features)  # (batch, length, dim)
        requests = requests * self.scale + sine_positions(shape[1], items.shape[-1])
        return self.dropout(requests, seed=seed)


class Decoder(keras.layers.Layer):
    """Blocks in which a request sees the requests before it and the events up to it."""

    def __init__(self, config: ModelConfig, sizes: Sizes, seed: int, name: str = "decoder") -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.requests = RequestEmbedding(config, sizes, own)
        self.blocks = [DecoderBlock(config, own, f"block_{i}") for i in range(config.decoder_layers)]
        self.norm = norm("norm")

    def call(
        self, items: tf.Tensor, history: dict[str, tf.Tensor], memory: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """The user's vector at each position, (batch, length, dim).

        Args:
            items, history: as of RequestEmbedding.
            memory: (batch, length, dim), the encoder's outputs.
        """
        x = self.requests(items, history, seed=seed)  # (batch, length, dim)
        for block in self.blocks:
            x = block(x, memory, seed=seed)  # (batch, length, dim)
        return self.norm(x)
