"""What an item has in common with a user's past: features of a pair, and the reasons that a recommendation is given with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

from models.inputs import FIRST, PADDING
from models.ranking import Scores

FILE = "likeness.npz"


@dataclass(frozen=True)
class Reasons:
    """Of n items for one user, each (n,). NaN: there is nothing to compare.

    because              int32, the item of the past that is the most similar to each; PADDING: none is its neighbour
    because_similarity   float32, how similar it is
    category_similarity  float32, cosine of the item's categories and how often each stands in the past
    content_similarity   float32, cosine of the item's numbers and their mean over the past
    """

    because: np.ndarray
    because_similarity: np.ndarray
    category_similarity: np.ndarray
    content_similarity: np.ndarray


@dataclass(frozen=True)
class Likeness:
    """Row i belongs to item index i.

    neighbours    (items, top) int32, indices of similar items, the most similar first; PADDING at the end, top at least 1
    similarities  (items, top) float32, of the neighbours; 0 at padding
    categories    (items, slots) int32, PADDING at the end
    numbers       (items, numbers) float32
    """

    neighbours: np.ndarray
    similarities: np.ndarray
    categories: np.ndarray
    numbers: np.ndarray

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        with np.load(Path(folder) / FILE) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def save(self, folder: str | Path) -> None:
        np.savez(Path(folder) / FILE, **{field.name: getattr(self, field.name) for field in fields(self)})

    def reasons(self, past: np.ndarray, items: np.ndarray) -> Reasons:
        """What each of `items` has in common with `past`.

        Args:
            past: (m,) int, the different items that a user has chosen.
            items: (n,) int.
        """
        past = past[past >= FIRST]
        shared = np.where(np.isin(self.neighbours[items], past), self.similarities[items], 0.0)  # (n, top)
        best = shared.argmax(axis=1)  # (n,); neighbours stand in order, so of equals the first
        similarity = shared[np.arange(len(items)), best]
        because = np.where(similarity > 0, self.neighbours[items, best], PADDING).astype(np.int32)
        return Reasons(
            because,
            np.where(similarity > 0, similarity, np.nan).astype(np.float32),
            self._by_category(past, items),
            self._by_content(past, items),
        )

    def neighbour_scores(self, pasts: Sequence[np.ndarray]) -> Scores:
        """Item-based nearest neighbours, as a ranker: an item scores the sum, over the events of the past, of the similarity
        by which it is a neighbour of the event's item.

        Args:
            pasts: per user the indices of their events' items.
        Reference: Sarwar et al. 2001, https://doi.org/10.1145/371920.372071
        """

        def scores(users: slice) -> np.ndarray:
            found = np.zeros((len(pasts[users]), len(self.neighbours)), np.float32)
            for row, past in zip(found, pasts[users], strict=True):
                np.add.at(row, self.neighbours[past].ravel(), self.similarities[past].ravel())
            return found

        return scores

    def _by_category(self, past: np.ndarray, items: np.ndarray) -> np.ndarray:
        own = self.categories[items]  # (n, slots)
        labels = 1 + int(own.max(initial=PADDING))
        counts = np.bincount(self.categories[past].ravel(), minlength=labels).astype(np.float64)  # (at least labels,)
        counts[PADDING] = 0
        product = counts[own].sum(axis=1)
        return _divided(product, np.sqrt((own != PADDING).sum(axis=1)) * np.linalg.norm(counts))

    def _by_content(self, past: np.ndarray, items: np.ndarray) -> np.ndarray:
        own = self.numbers[items].astype(np.float64)  # (n, numbers)
        profile = self.numbers[past].astype(np.float64).sum(axis=0)  # the direction of the mean
        return _divided(own @ profile, np.linalg.norm(own, axis=1) * np.linalg.norm(profile))


def _divided(product: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """float32; NaN where a length is 0."""
    return np.divide(product, lengths, out=np.full(len(product), np.nan), where=lengths > 0).astype(np.float32)


def ranked_rows(
    items: np.ndarray, ranks: np.ndarray, neighbours: np.ndarray, similarities: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows as of `Likeness.neighbours` and `.similarities`, of `size` items from one entry per pair, each (pairs,).

    Args:
        items, neighbours: indices.
        ranks: 1 is the most similar.
    """
    shape = (size, max(1, int(ranks.max(initial=0))))
    of_items, similar = np.full(shape, PADDING, np.int32), np.zeros(shape, np.float32)
    of_items[items, ranks - 1], similar[items, ranks - 1] = neighbours, similarities
    return of_items, similar
