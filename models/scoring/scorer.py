"""Scores users: rows of histories to user vectors, user vectors to the best items. numpy and ONNX Runtime alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from models.inputs import HISTORY, UNKNOWN, ItemContent, Sizes
from models.ranking import Scores, best_items, products
from models.scoring.exported import Exported
from models.signals.item_values import Past

ITEM_VECTORS = "item_vectors.npy"  # beside the export, so that every process of a machine maps the same pages
_ROWS = 64  # of one pass: the attention weights of 64 rows of 200 events stay near the cache
# Input to the field of Sizes that bounds it.
_LABELS = {"event_types": "event_types", "user_labels": "user_labels"}


class Scorer:
    """A trained model with the vectors of a catalogue.

    Attributes:
        items: (items, dim) float32, the vector of each index of the vocabulary.
    """

    def __init__(self, exported: Exported, items: np.ndarray) -> None:
        self.exported, self.items = exported, items
        self._sizes = Sizes(**exported.card["sizes"])
        # The vocabulary of items may have grown since: their vectors come from content. A new type or label has none.
        self._bounds = {"item_ids": len(items)} | {name: getattr(self._sizes, field) for name, field in _LABELS.items()}

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Opens an export beside which the item vectors lie in ITEM_VECTORS, which is memory-mapped."""
        return cls(Exported.load(folder), np.load(Path(folder) / ITEM_VECTORS, mmap_mode="r"))

    def states(self, rows: dict[str, np.ndarray], events: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The users' vectors at each position, a block of rows at a time, rows of similar length together.

        Padding beyond a block's longest row is cut off: it costs as much as events do, and changes nothing.

        Args:
            rows: the arrays of models.inputs.HISTORY, each (batch, entries).
            events: (batch,) int, positions of each row that hold an event.
        Yields:
            (numbers of the block's rows (n,), states (n, longest, dim)).
        """
        order = np.argsort(events, kind="stable")
        for start in range(0, len(order), _ROWS):
            block = order[start : start + _ROWS]
            yield block, self.exported.states(self._cut(rows, block, int(events[block].max())), self.items)

    def user_vectors(self, rows: dict[str, np.ndarray], events: np.ndarray) -> np.ndarray:
        """The users' vectors at their newest event, (batch, dim) float32; arguments as of `states`."""
        vectors = np.empty((len(events), self.items.shape[1]), np.float32)
        for block, states in self.states(rows, events):
            vectors[block] = states[np.arange(len(block)), events[block] - 1]
        return vectors

    def scores(self, vectors: np.ndarray, last: np.ndarray) -> Scores:
        """The model as a ranker.

        Args:
            vectors: (users, dim), of `user_vectors` or `states`.
            last: (users, LAST) int, the users' last items, as of models.transitions.
        """
        return self.exported.transitions.on_top_of(products(vectors, self.items), last)

    def values(self, vectors: np.ndarray, items: np.ndarray, pasts: Sequence[Past]) -> np.ndarray:
        """What n users would give k items each, (n, k) float32: z-scores or logits, see Exported.values.

        Args:
            vectors: (n, dim).
            items: (n, k) int.
            pasts: n of them.
        """
        head = np.empty(items.shape, np.float32)
        for start in range(0, len(items), _ROWS):
            block = slice(start, start + _ROWS)
            wanted = items[block]
            users = np.repeat(vectors[block], wanted.shape[1], axis=0)  # (rows * k, dim)
            head[block] = self.exported.values(users, self.items[wanted.ravel()]).reshape(wanted.shape)
        return self.exported.item_values.predict(head, pasts, items)

    def best_items(
        self, vectors: np.ndarray, last: np.ndarray, k: int, seen: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best items that a user has not seen, and their scores; see `scores` and models.ranking.best_items."""
        return best_items(self.scores(vectors, last), len(self.items), k, seen)

    def _cut(self, rows: dict[str, np.ndarray], block: np.ndarray, length: int) -> dict[str, np.ndarray]:
        cut = {}
        for given in HISTORY:
            values = rows[given.name][block, : given.entries(length, self._sizes)]
            bound = self._bounds.get(given.name)
            cut[given.name] = values if bound is None else np.where(values < bound, values, UNKNOWN)
        return cut


def known_content(exported: Exported, content: ItemContent) -> ItemContent:
    """The content with categories and labels that the model has never seen as unknown ones."""
    sizes = exported.card["sizes"]
    bounds = {"categories": int(sizes["categories"]), "labels": int(sizes["item_labels"])}
    indices = {name: getattr(content, name) for name in bounds}
    known = {name: np.where(i < bounds[name], i, UNKNOWN).astype(np.int32) for name, i in indices.items()}
    return dataclasses.replace(content, **known)
