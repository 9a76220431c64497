"""The recommender: an encoder-decoder Transformer over a user's history, tied to an item tower, with two heads."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from models.config import LossConfig, ModelConfig
from models.inputs import CONTENT, FIRST, HISTORY, PADDING, TARGETS, ItemContent, Sizes
from models.network.decoder import Decoder
from models.network.encoder import Encoder
from models.network.item_tower import ItemTower
from models.network.layers import derive
from models.network.objective import Objective
from models.network.rating_head import RatingHead
from models.network.trace import Trace

FULL_SOFTMAX = Objective(LossConfig())


class Recommender(keras.layers.Layer):
    """Every variable exists after construction, and its initial value is a function of `seed` alone.

    Randomness of a call is its argument `seed`, (2,) int32: the same seed draws the same dropout; None means inference.
    """

    def __init__(self, config: ModelConfig, sizes: Sizes, seed: int = 0, name: str = "recommender") -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.config, self.sizes = config, sizes
        self.tower = ItemTower(config, sizes, own)
        self.encoder = Encoder(config, sizes, own)
        self.decoder = Decoder(config, sizes, own)
        self.rating_head = RatingHead(config.dim, own)
        self.losses(*_smallest(sizes), seed=None)  # creates the variables
        self.built = True

    def item_vectors(self, content: ItemContent, trace: Trace | None = None) -> tf.Tensor:
        """The vectors of all items, (items, dim) float32."""
        vectors = self.tower(content.ids, *[getattr(content, i.name) for i in CONTENT], trace=trace)
        return tf.cast(vectors, tf.float32)

    def states(
        self,
        history: dict[str, tf.Tensor],
        item_vectors: tf.Tensor,
        seed: tf.Tensor | None = None,
        trace: Trace | None = None,
    ) -> tf.Tensor:
        """The user's vector at each position, as of the request that follows the position's event.

        Args:
            history: the tensors of models.inputs.HISTORY, each (batch, entries), as many as Input.entries says;
                more are ignored.
            item_vectors: (items, dim), of the item tower.
            trace: gets the weights of every attention, (batch, heads, length, length), as
                encoder/block_0/self_attention, and the gates, (batch * length,), as event_embedding/gap.
        Returns:
            (batch, length, dim) float32; meaningless at padding.
        """
        items = tf.gather(item_vectors, history["item_ids"])  # (batch, length, dim)
        memory = self.encoder(items, history, seed=seed, trace=trace)  # (batch, length, dim)
        states = self.decoder(items, history, memory, seed=seed, trace=trace)  # (batch, length, dim)
        return tf.cast(states, tf.float32)

    def values(self, states: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """The value (z-score) that each user would give each item, (n,), from their vectors, both (n, dim).

        Of a model trained with `like_from`, the logit of the probability that it is at least that.
        """
        return tf.cast(self.rating_head(states, items), tf.float32)

    def losses(
        self,
        batch: dict[str, tf.Tensor],
        content: ItemContent,
        seed: tf.Tensor | None,
        objective: Objective = FULL_SOFTMAX,
    ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """Each loss as its weighted sum and the sum of its weights, both () float32.

        Args:
            batch: the tensors of models.inputs.HISTORY and TARGETS, each (batch, entries).
            objective: what the losses are.
        Returns:
            next_item, over positions whose target is a real item; value, over positions whose target has a value.
        """
        vectors = self.item_vectors(content)  # (items, dim)
        states = self.states(batch, vectors, seed)  # (batch, length, dim)
        known = tf.cast(batch["targets"] >= FIRST, tf.float32)
        return {
            "next_item": self._next_item(states, vectors, batch["targets"], batch["weights"] * known, objective, seed),
            "value": self._value(
                states, vectors, batch["targets"], batch["target_values"], batch["target_value_weights"] * known, objective
            ),
        }

    def _next_item(
        self,
        states: tf.Tensor,
        vectors: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        objective: Objective,
        seed: tf.Tensor | None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        valid = weights > 0  # (batch, length), n of them; the others would cost as much
        loss = objective.next_item(states[valid], vectors, targets[valid], weights[valid], seed)
        return loss, tf.reduce_sum(weights)

    def _value(
        self,
        states: tf.Tensor,
        vectors: tf.Tensor,
        targets: tf.Tensor,
        actual: tf.Tensor,
        weights: tf.Tensor,
        objective: Objective,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        valid = weights > 0  # (batch, length), n of them
        predicted = self.values(states[valid], tf.gather(vectors, targets[valid]))  # (n,)
        return objective.value(predicted, actual[valid], weights[valid]), tf.reduce_sum(weights)


def computing_in(precision: str, config: ModelConfig, sizes: Sizes, seed: int = 0) -> Recommender:
    """A model whose layers compute in `precision`, a name of a Keras dtype policy; its weights are float32 in each."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return Recommender(config, sizes, seed)
    finally:
        keras.config.set_dtype_policy(before)


def _smallest(sizes: Sizes) -> tuple[dict[str, tf.Tensor], ItemContent]:
    """One example of one padded position, and content of zeros."""
    batch = {i.name: tf.zeros([1, i.entries(1, sizes)], i.dtype) for i in (*HISTORY, *TARGETS)}
    content: dict[str, np.ndarray] = {i.name: np.zeros((sizes.items, i.entries(1, sizes)), i.dtype) for i in CONTENT}
    return batch, ItemContent(**content, train_events=np.zeros(sizes.items, np.int64))


def mean_gates(model: Recommender, content: ItemContent, batch: dict[str, np.ndarray]) -> dict[str, float]:
    """What the gates of each part are on average, between 0 and 2: over real items, and over real positions of a batch."""
    items, events = Trace(), Trace()
    history = {i.name: tf.constant(batch[i.name]) for i in HISTORY}
    model.states(history, model.item_vectors(content, trace=items), trace=events)
    real = (batch["item_ids"] != PADDING).reshape(-1)  # (batch * length,)
    gates = {name: gate[FIRST:] for name, gate in items.found.items()}
    gates |= {name: tf.boolean_mask(gate, real) for name, gate in events.found.items() if gate.shape.rank == 1}
    return {name: float(tf.reduce_mean(gate)) for name, gate in gates.items()}
