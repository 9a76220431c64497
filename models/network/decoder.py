"""The request decoder: at each position, what a user would want who asked right then."""

from __future__ import annotations

import tensorflow as tf

from models.config import ModelConfig
from models.inputs import GAP_BUCKETS, HOURS, WEEKDAYS, Sizes
from models.network.bias import RelativeBias, elapsed, seconds
from models.network.blocks import DecoderBlock
from models.network.fusion import Fusion, GatedNumbers
from models.network.layers import Composite, Dropout, Positions, derive, embedding, mean_labels, norm
from models.network.trace import Trace, under


class RequestEmbedding(Composite):
    """The request token: the last event's own item, and what is known when the recommendation is asked for."""

    def __init__(self, config: ModelConfig, sizes: Sizes, seed: int, name: str = "request_embedding") -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.scale = config.dim**0.5
        self.sizes = sizes
        rows = {"request_gaps": GAP_BUCKETS, "request_hours": HOURS, "request_weekdays": WEEKDAYS}
        self.context = {n: embedding(r, config.dim, own, n) for n, r in rows.items()} if config.knows_request_time else {}
        self.numbers = {  # of the user, those of the day and those that stay
            name: GatedNumbers(config.gates, width, config.dim, own, layer)
            for name, width, layer in (
                ("user_features", sizes.user_features, "features"),
                ("user_numbers", sizes.user_numbers, "user_numbers"),
            )
            if width
        }
        self.labels = embedding(sizes.user_labels, config.dim, own, "user_labels") if sizes.user_label_slots else None
        self.fusion = Fusion(config.gates, 1 + len(self.context) + len(self.numbers) + (self.labels is not None), own)
        self.positions = Positions(config, sizes.max_length, own)
        self.dropout = Dropout(config.dropout, own)

    def call(
        self,
        items: tf.Tensor,
        history: dict[str, tf.Tensor],
        seed: tf.Tensor | None = None,
        trace: Trace | None = None,
    ) -> tf.Tensor:
        """The request tokens, (batch, length, dim).

        Args:
            items: (batch, length, dim), vectors of the last event's item before each request.
            history: request_gaps, request_hours, request_weekdays (batch, length) int32;
                user_features (batch, length * user_features) float32, row by row; user_numbers, user_labels and
                user_label_weights, (batch, their number), of the user at every position. Read only where there are any.
        """
        shape, length = tf.shape(items), tf.shape(items)[1]
        own = under(trace, self.name)
        # A token without the last event learns half as fast.
        parts = {"item": tf.reshape(items, [-1, items.shape[-1]])}  # each (batch * length, dim)
        for name, layer in self.context.items():
            parts[name] = layer(tf.reshape(history[name], [-1]))
        for name, gated in self.numbers.items():
            rows = history[name] if name == "user_features" else tf.repeat(history[name], length, axis=0)
            parts[name] = gated(tf.reshape(rows, [-1, getattr(self.sizes, name)]), trace=under(own, name))
        if self.labels is not None:
            labels = mean_labels(self.labels, history["user_labels"], history["user_label_weights"])  # (batch, dim)
            parts["user_labels"] = tf.repeat(labels, length, axis=0)
        requests = tf.reshape(self.fusion(parts, trace=own), shape)
        return self.dropout(self.positions(requests * self.scale), seed=seed)


class Decoder(Composite):
    """Blocks in which a request sees the requests before it and the events up to it."""

    def __init__(self, config: ModelConfig, sizes: Sizes, seed: int, name: str = "decoder") -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.requests = RequestEmbedding(config, sizes, own)
        self.self_bias, self.cross_bias = RelativeBias(config, own, "self_bias"), RelativeBias(config, own, "cross_bias")
        self.blocks = [DecoderBlock(config, own, f"block_{i}") for i in range(config.decoder_layers)]
        self.norm = norm("norm")

    def call(
        self,
        items: tf.Tensor,
        history: dict[str, tf.Tensor],
        memory: tf.Tensor,
        seed: tf.Tensor | None = None,
        trace: Trace | None = None,
    ) -> tf.Tensor:
        """The user's vector at each position, (batch, length, dim).

        Args:
            items, history: as of RequestEmbedding.
            memory: (batch, length, dim), the encoder's outputs.
        """
        x = self.requests(items, history, seed=seed, trace=trace)  # (batch, length, dim)
        events = elapsed(history["gaps"])  # (batch, length)
        requests = events + seconds(history["request_gaps"])  # (batch, length)
        biases = {"self_bias": self.self_bias(requests, requests), "cross_bias": self.cross_bias(requests, events)}
        for block in self.blocks:
            x = block(x, memory, **biases, seed=seed, trace=under(trace, f"{self.name}/{block.name}"))  # (batch, length, dim)
        return self.norm(x)
