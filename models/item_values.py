"""What the neighbours of an item say about its value, beside what the network says.

A user who rated items that others rate like this one will rate it like them: vectors of a few dozen numbers learn the broad
taste that is behind it, and not the pairs. So the value of an item, as z-score, is

    (1 - weight) * rating head + weight * (biases of item and user + mean over the neighbours that the user gave a value)

where the mean is that of what is left of those values without biases, each weighed by the square of its similarity. Of a
model of likes, whose head gives a logit, the second part is its distance from `threshold` times `slope`. Validation chooses
`weight`, of which 0 leaves the network alone, and `slope`, once the network is trained.

Reference: Koren 2010, https://doi.org/10.1145/1644873.1644874
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from models.inputs import FIRST, PADDING

FILE = "item_values.npz"
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # validation chooses from these
SLOPES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # and from these, logits of one standard deviation
DAMPING = 5  # values of the mean that are added to those of a user, as in the table to those of an item
DOUBT = 0.005  # similarity squared of one more neighbour, of whom nothing is left without biases

Past = tuple[np.ndarray, np.ndarray]  # items and values of a user's events, as of ItemValues.estimates


@dataclass(frozen=True)
class ItemValues:
    """Row i belongs to item index i.

    biases        (items,) float32, z-scores; 0 where no user gave the item a value
    neighbours    (items, top) int32, indices of items that get like values, the most similar first; PADDING at the end, top at
                  least 1
    similarities  (items, top) float32, of the table item_values; 0 at padding
    weight        0 to 1, of what neighbours say
    slope         logits of one standard deviation; 1 where values are told as z-scores
    threshold     z-score from which on an item is liked; 0 where values are told as z-scores
    """

    biases: np.ndarray
    neighbours: np.ndarray
    similarities: np.ndarray
    weight: float = 0.0
    slope: float = 1.0
    threshold: float = 0.0

    @classmethod
    def none(cls, items: int) -> Self:
        """Those of items that have no values."""
        return cls(np.zeros(items, np.float32), np.full((items, 1), PADDING, np.int32), np.zeros((items, 1), np.float32))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        with np.load(Path(folder) / FILE) as arrays:
            fitted = {name: float(arrays[name]) for name in ("weight", "slope", "threshold")}
            return cls(arrays["biases"], arrays["neighbours"], arrays["similarities"], **fitted)

    def save(self, folder: str | Path) -> None:
        np.savez(Path(folder) / FILE, **{name: np.asarray(value) for name, value in vars(self).items()})

    def choices(self, like_score: float | None) -> list[Self]:
        """What validation chooses from, the network alone first; `like_score` is None where values are told as z-scores."""
        slopes, threshold = ((1.0,), 0.0) if like_score is None else (SLOPES, like_score)
        return [replace(self, weight=weight, slope=slope, threshold=threshold) for weight in WEIGHTS for slope in slopes]

    def estimates(self, past: np.ndarray, values: np.ndarray, items: np.ndarray) -> np.ndarray:
        """What neighbours say that a user would give items, (n,) float32 z-scores.

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
        return (self.biases[known] + bias + self._mean(rated, left - bias, known)).astype(np.float32)

    def estimates_of_users(self, pasts: Sequence[Past], items: np.ndarray) -> np.ndarray:
        """What neighbours say that n users would give k items each, (n, k) float32; see `estimates`.

        Args:
            pasts: n of them.
            items: (n, k) int.
        """
        found = np.zeros(items.shape, np.float32)
        for row, past, wanted in zip(found, pasts, items, strict=True):
            row[:] = self.estimates(*past, wanted)
        return found

    def blended(self, predicted: np.ndarray, estimates: np.ndarray) -> np.ndarray:
        """What the head says, z-scores or logits, together with estimates of the same shape."""
        if not self.weight:
            return predicted
        says = self.slope * (estimates - self.threshold)
        return ((1 - self.weight) * predicted + self.weight * says).astype(np.float32)

    def _mean(self, rated: np.ndarray, left: np.ndarray, items: np.ndarray) -> np.ndarray:
        """(n,) means of `left` over the neighbours of each item that are among `rated`, which is sorted."""
        if not len(rated):
            return np.zeros(len(items))
        neighbours = self.neighbours[items]  # (n, top)
        at = np.minimum(np.searchsorted(rated, neighbours), len(rated) - 1)
        weights = np.where(rated[at] == neighbours, self.similarities[items] ** 2, 0.0)  # (n, top)
        return (weights * left[at]).sum(axis=1) / (weights.sum(axis=1) + DOUBT)
