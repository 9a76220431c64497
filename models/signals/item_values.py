"""What the neighbours of an item say about its value, beside what the network says.

A user who rated items that others rate like this one will rate it like them: vectors of a few dozen numbers learn the broad
taste that is behind it, and not the pairs. Two opinions, as z-scores:

    biases       that of the item plus that of the user
    neighbours   the mean of what is left, without biases, of the values that the user gave to the item's neighbours, each
                 weighed by its similarity squared

How much these and the rating head count for in the value that is told (models.blend), validation says once the network is
trained.

Reference: Koren 2010, https://doi.org/10.1145/1644873.1644874
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from models.inputs import FIRST, PADDING
from models.signals.blend import HEAD_ALONE, Weights, blended

FILE = "item_values.npz"
DAMPING = 5  # values of the mean that are added to those of a user, as in the table to those of an item
DOUBT = 0.05  # similarity squared of one more neighbour, of whose value nothing is left without biases

Past = tuple[np.ndarray, np.ndarray]  # items and values of a user's events, as of ItemValues.opinions


@dataclass(frozen=True)
class ItemValues:
    """Row i belongs to item index i.

    biases        (items,) float32, z-scores; 0 where no user gave the item a value
    neighbours    (items, top) int32, indices of items that get like values, the most similar first; PADDING at the end, top at
                  least 1
    similarities  (items, top) float32, of the table item_values; 0 at padding
    weights       of the rating head, of biases, of neighbours, and a constant, as of models.blend
    """

    biases: np.ndarray
    neighbours: np.ndarray
    similarities: np.ndarray
    weights: Weights = HEAD_ALONE

    @classmethod
    def none(cls, items: int) -> Self:
        """Those of items that have no values."""
        return cls(np.zeros(items, np.float32), np.full((items, 1), PADDING, np.int32), np.zeros((items, 1), np.float32))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        with np.load(Path(folder) / FILE) as arrays:
            a, b, c, d = arrays["weights"].tolist()
            return cls(arrays["biases"], arrays["neighbours"], arrays["similarities"], (a, b, c, d))

    def save(self, folder: str | Path) -> None:
        np.savez(Path(folder) / FILE, **{name: np.asarray(value) for name, value in vars(self).items()})

    def fitted(self, weights: Weights) -> Self:
        return replace(self, weights=weights)

    def opinions(self, past: np.ndarray, values: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Biases and neighbours of items for one user, (n, 2) float32 z-scores.

        Args:
            past: (m,) int, items of the user's events, the oldest first. Those that the table does not know say nothing.
            values: (m,) their z-scores; 0 where an event has none, as in the table sequences.
            items: (n,) int. Of one that the table does not know the user's bias alone is told.
        """
        given = (past >= FIRST) & (past < len(self.biases)) & (values != 0)
        rated, newest = np.unique(past[given][::-1], return_index=True)  # of several values the newest
        left = values[given][::-1][newest] - self.biases[rated]  # (different items of the past,)
        bias = left.sum() / (len(left) + DAMPING)
        known = np.where(items < len(self.biases), items, PADDING)
        return np.stack([self.biases[known] + bias, self._mean(rated, left - bias, known)], axis=1).astype(np.float32)

    def opinions_of_users(self, pasts: Sequence[Past], items: np.ndarray) -> np.ndarray:
        """Biases and neighbours of k items for each of n users, (n, k, 2) float32; see `opinions`.

        Args:
            pasts: n of them.
            items: (n, k) int.
        """
        found = np.zeros((*items.shape, 2), np.float32)
        for row, past, wanted in zip(found, pasts, items, strict=True):
            row[:] = self.opinions(*past, wanted)
        return found

    def predict(self, head: np.ndarray, pasts: Sequence[Past], items: np.ndarray) -> np.ndarray:
        """The values that n users would give k items each, (n, k) float32: z-scores, or logits of a model of likes.

        Args:
            head: (n, k), what the rating head says.
            pasts, items: as of `opinions_of_users`.
        """
        return head if self.weights == HEAD_ALONE else blended(head, self.opinions_of_users(pasts, items), self.weights)

    def _mean(self, rated: np.ndarray, left: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(n,) means of `left` over the neighbours of each item that are among `rated`, which is sorted."""
        if not len(rated):
            return np.zeros(len(items))
        neighbours = self.neighbours[items]  # (n, top)
        at = np.minimum(np.searchsorted(rated, neighbours), len(rated) - 1)
        weights = np.where(rated[at] == neighbours, self.similarities[items] ** 2, 0.0)  # (n, top)
        return (weights * left[at]).sum(axis=1) / (weights.sum(axis=1) + DOUBT)
