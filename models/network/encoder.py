"""The encoder: a user's events, each seen with the events before it."""

from __future__ import annotations

import tensorflow as tf

from models.config import ModelConfig
from models.inputs import GAP_BUCKETS, Sizes
from models.network.bias import RelativeBias, elapsed
from models.network.blocks import EncoderBlock
from models.network.fusion import Fusion, limited
from models.network.layers import INIT_STDDEV, Composite, Dropout, Positions, dense, derive, embedding, norm
from models.network.trace import Trace, under


class EventEmbedding(Composite):
    """What happened: the item, the type of the event, its value, the time since the event before."""

    def __init__(self, config: ModelConfig, sizes: Sizes, seed: int, name: str = "event_embedding") -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.scale = config.dim**0.5
        self.types = embedding(sizes.event_types, config.dim, own, "types")
        self.gaps = embedding(GAP_BUCKETS, config.dim, own, "gaps")
        self.values = dense(config.dim, own, "values", INIT_STDDEV, use_bias=False)  # no value is 0, and adds nothing
        self.fusion = Fusion(config.gates, 4, own)
        self.positions = Positions(config, sizes.max_length, own)
        self.dropout = Dropout(config.dropout, own)

    def call(
        self,
        items: tf.Tensor,
        history: dict[str, tf.Tensor],
        seed: tf.Tensor | None = None,
        trace: Trace | None = None,
    ) -> tf.Tensor:
        """The events' vectors, (batch, length, dim).

        Args:
            items: (batch, length, dim), vectors of the events' items.
            history: event_types, gaps (batch, length) int32; values (batch, length) float32, beyond LARGEST as it.
        """
        shape = tf.shape(items)
        parts = {  # each (batch * length, dim)
            "item": tf.reshape(items, [-1, items.shape[-1]]),
            "event_type": self.types(tf.reshape(history["event_types"], [-1])),
            "gap": self.gaps(tf.reshape(history["gaps"], [-1])),
            "value": self.values(limited(tf.reshape(history["values"], [-1, 1]))),
        }
        events = tf.reshape(self.fusion(parts, trace=under(trace, self.name)), shape)
        return self.dropout(self.positions(events * self.scale), seed=seed)


class Encoder(Composite):
    """Causal self-attention blocks over the events, so that one pass encodes every prefix."""

    def __init__(self, config: ModelConfig, sizes: Sizes, seed: int, name: str = "encoder") -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.events = EventEmbedding(config, sizes, own)
        self.bias = RelativeBias(config, own, "bias")
        self.blocks = [EncoderBlock(config, own, f"block_{i}") for i in range(config.encoder_layers)]
        self.norm = norm("norm")

    def call(
        self,
        items: tf.Tensor,
        history: dict[str, tf.Tensor],
        seed: tf.Tensor | None = None,
        trace: Trace | None = None,
    ) -> tf.Tensor:
        """What is remembered after each event, (batch, length, dim); arguments as of EventEmbedding."""
        x = self.events(items, history, seed=seed, trace=trace)  # (batch, length, dim)
        times = elapsed(history["gaps"])  # (batch, length)
        bias = self.bias(times, times)
        for block in self.blocks:
            x = block(x, bias=bias, seed=seed, trace=under(trace, f"{self.name}/{block.name}"))  # (batch, length, dim)
        return self.norm(x)
