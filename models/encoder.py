"""The encoder: a user's events, each seen with the events before it."""

from __future__ import annotations

import keras
import tensorflow as tf

from models.blocks import EncoderBlock
from models.config import ModelConfig
from models.inputs import GAP_BUCKETS, Sizes
from models.layers import SIDE_STDDEV, Dropout, dense, derive, embedding, norm, sine_positions


class EventEmbedding(keras.layers.Layer):
    """What happened: the item, the type of the event, its value, the time since the event before."""

    def __init__(self, config: ModelConfig, sizes: Sizes, seed: int, name: str = "event_embedding") -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.scale = config.dim**0.5
        self.types = embedding(sizes.event_types, config.dim, own, "types")
        self.gaps = embedding(GAP_BUCKETS, config.dim, own, "gaps")
        self.values = dense(config.dim, own, "values", SIDE_STDDEV, use_bias=False)  # no value is 0, and adds nothing
        self.dropout = Dropout(config.dropout, own)

    def call(self, items: tf.Tensor, history: dict[str, tf.Tensor], seed: tf.Tensor | None = None) -> tf.Tensor:
        """The events' vectors, (batch, length, dim).

        Args:
            items: (batch, length, dim), vectors of the events' items.
            history: event_types, gaps (batch, length) int32; values (batch, length) float32.
        """
        shape = tf.shape(items)
        values = self.values(tf.reshape(history["values"], [-1, 1]))  # (batch * length, dim)
        events = items + self.types(history["event_types"]) + self.gaps(history["gaps"]) + tf.reshape(values, shape)
        events = events * self.scale + sine_positions(shape[1], items.shape[-1])  # (batch, length, dim)
        return self.dropout(events, seed=seed)


class Encoder(keras.layers.Layer):
    """Causal self-attention blocks over the events, so that one pass encodes every prefix."""

    def __init__(self, config: ModelConfig, sizes: Sizes, seed: int, name: str = "encoder") -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.events = EventEmbedding(config, sizes, own)
        self.blocks = [EncoderBlock(config, own, f"block_{i}") for i in range(config.encoder_layers)]
        self.norm = norm("norm")

    def call(self, items: tf.Tensor, history: dict[str, tf.Tensor], seed: tf.Tensor | None = None) -> tf.Tensor:
        """What is remembered after each event, (batch, length, dim); arguments as of EventEmbedding."""
        x = self.events(items, history, seed=seed)  # (batch, length, dim)
        for block in self.blocks:
            x = block(x, seed=seed)  # (batch, length, dim)
        return self.norm(x)
