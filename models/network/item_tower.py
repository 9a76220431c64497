"""The item tower: one vector per item from its id and its content, read as input and predicted as output."""

from __future__ import annotations

import tensorflow as tf

from models.config import ModelConfig
from models.inputs import PADDING, Sizes
from models.network.fusion import Fusion, GatedNumbers
from models.network.layers import Composite, derive, embedding, mean_labels
from models.network.trace import Trace, under


class ItemTower(Composite):
    """id embedding + mean of the category embeddings + projected numbers + the mean of each further column of labels."""

    def __init__(self, config: ModelConfig, sizes: Sizes, seed: int, name: str = "item_tower") -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        # Quiet as all embeddings: what a vector starts with stays in it, and drowns what an item of few events has learnt.
        self.ids = embedding(sizes.items, config.dim, own, "ids")
        self.categories = embedding(sizes.categories, config.dim, own, "categories") if sizes.item_categories else None
        self.labels = embedding(sizes.item_labels, config.dim, own, "labels") if sizes.item_label_slots else None
        self.numbers = (
            GatedNumbers(config.gates, sizes.item_numbers, config.dim, own, "numbers", use_bias=False)
            if sizes.item_numbers
            else None
        )
        parts = (self.ids, self.categories, self.labels, self.numbers)
        self.fusion = Fusion(config.gates, sum(part is not None for part in parts), own)

    def call(
        self,
        ids: tf.Tensor,
        categories: tf.Tensor,
        numbers: tf.Tensor,
        labels: tf.Tensor,
        label_weights: tf.Tensor,
        trace: Trace | None = None,
    ) -> tf.Tensor:
        """All items at once.

        Args:
            ids: (items,) int32, rows of the id embedding; a cold item reads UNKNOWN's, so that content alone tells it apart.
            categories: (items, item_categories) int32, 0 padding.
            numbers: (items, item_numbers) float32.
            labels: (items, item_label_slots) int32.
            label_weights: (items, item_label_slots) float32, of each label in its column's mean; 0 at padding.
        Returns:
            (items, dim).
        """
        own = under(trace, self.name)
        parts = {"id": self.ids(ids)}  # each (items, dim)
        if self.categories is not None:
            parts["categories"] = _mean(self.categories(categories), categories != PADDING)
        if self.numbers is not None:
            parts["numbers"] = self.numbers(numbers, trace=under(own, "numbers"))
        if self.labels is not None:
            parts["labels"] = mean_labels(self.labels, labels, label_weights)
        return self.fusion(parts, trace=own)


def _mean(embeddings: tf.Tensor, real: tf.Tensor) -> tf.Tensor:
    """(items, slots, dim) to (items, dim): the mean over the slots that are real, zeros where none is."""
    counted = tf.cast(real, embeddings.dtype)[:, :, None]  # (items, slots, 1)
    return tf.reduce_sum(embeddings * counted, axis=1) / tf.maximum(tf.reduce_sum(counted, axis=1), 1.0)
