"""A tiny model and examples for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from models.config import ModelConfig
from models.inputs import FIRST, GAP_BUCKETS, HISTORY, HOURS, WEEKDAYS, ItemContent, Sizes
from models.network.transformer import Recommender
from models.signals.item_values import DAMPING, DOUBT, ItemValues

CONFIG = ModelConfig(dim=16, heads=2)
SIZES = Sizes(
    items=20, categories=6, event_types=4, user_features=3, item_numbers=4, item_categories=3, max_length=6, item_labels=7,
    item_label_slots=2, user_numbers=2, user_labels=5, user_label_slots=3,
)  # fmt: skip
SEED = (7, 11)  # of dropout, where a test does not care which


def content(sizes: Sizes = SIZES) -> ItemContent:
    """Every item trained, with content of its own."""
    rng = np.random.default_rng(1)
    return ItemContent(
        categories=rng.integers(0, sizes.categories, (sizes.items, sizes.item_categories)).astype(np.int32),
        numbers=rng.normal(size=(sizes.items, sizes.item_numbers)).astype(np.float32),
        labels=rng.integers(0, sizes.item_labels, (sizes.items, sizes.item_label_slots)).astype(np.int32),
        label_weights=rng.random((sizes.items, sizes.item_label_slots)).astype(np.float32),
        train_events=np.ones(sizes.items, np.int64),
    )


def batch(events: tuple[int, ...] = (6, 3, 1), length: int = 6, sizes: Sizes = SIZES, seed: int = 2) -> dict[str, np.ndarray]:
    """One example per entry of `events`, which says how many positions are real; the rest is padding."""
    rng = np.random.default_rng(seed)
    shape = (len(events), length)
    real = np.arange(length) < np.array(events, int)[:, None]  # (batch, length), True at events
    highest = {
        "item_ids": sizes.items, "event_types": sizes.event_types, "gaps": GAP_BUCKETS, "request_gaps": GAP_BUCKETS,
        "request_hours": HOURS, "request_weekdays": WEEKDAYS, "targets": sizes.items,
    }  # fmt: skip
    arrays = {name: (rng.integers(FIRST, high, shape) * real).astype(np.int32) for name, high in highest.items()}
    arrays |= {name: (rng.normal(size=shape) * real).astype(np.float32) for name in ("values", "target_values")}
    arrays |= {name: real.astype(np.float32) for name in ("weights", "target_value_weights")}
    features = rng.normal(size=(*shape, sizes.user_features)) * real[:, :, None]
    arrays |= {"user_features": features.reshape(len(events), length * sizes.user_features).astype(np.float32)}
    return arrays | user_content(len(events), sizes, rng)


def user_content(rows: int, sizes: Sizes, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What is known of the user of each row."""
    labels = rng.integers(0, sizes.user_labels, (rows, sizes.user_label_slots))
    return {
        "user_numbers": rng.normal(size=(rows, sizes.user_numbers)).astype(np.float32),
        "user_labels": labels.astype(np.int32),
        "user_label_weights": (rng.random(labels.shape) * (labels > 0)).astype(np.float32),
    }


def history(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {i.name: arrays[i.name] for i in HISTORY}


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(array) for name, array in arrays.items()}


def states(model: Recommender, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """(batch, length, dim), without dropout."""
    return model.states(tensors(history(arrays)), model.item_vectors(content(model.sizes))).numpy()


def opinions_by_loop(alike: ItemValues, past: Sequence[tuple[int, float]], item: int) -> tuple[float, float]:
    """What biases and neighbours say of an item, by the definition: one after the other."""
    size = len(alike.biases)  # an item from there on joined the vocabulary later
    left = {i: value - float(alike.biases[i]) for i, value in past if FIRST <= i < size and value != 0}  # the newest wins
    bias = sum(left.values()) / (len(left) + DAMPING)
    total, weights = 0.0, DOUBT
    for neighbour, similarity in zip(alike.neighbours[item], alike.similarities[item], strict=True) if item < size else ():
        if neighbour in left:
            total += float(similarity) ** 2 * (left[neighbour] - bias)
            weights += float(similarity) ** 2
    return (float(alike.biases[item]) if item < size else 0.0) + bias, total / weights


def predicted_by_loop(alike: ItemValues, head: float, past: Sequence[tuple[int, float]], item: int) -> float:
    """The value that is predicted of an item for which the rating head says `head`."""
    a, b, c, d = alike.weights
    biases, neighbours = opinions_by_loop(alike, past, item)
    return a * head + b * biases + c * neighbours + d
