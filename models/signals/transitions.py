"""What usually comes after an item, added to the scores of the network.

Vectors are good at what a user likes and poor at single pairs of items that follow each other, which a table of counts simply
knows. So a score is

    user vector . item vector + weight * log(1 + chance / floor)

where `chance` is that of the item in a Markov chain from the last events: an item that was never seen to follow them gets
nothing on top. Validation chooses, once the network is trained: the reach of the table, `weight`, of which 0 leaves the network
alone, and `fading`, how fast events lose their say. The chain is also judged as a ranker of its own, with the reach and the
fading that are best for it without a network.

Reference: Rendle et al. 2010, https://doi.org/10.1145/1772690.1772773, for Markov chains of items beside what a user likes;
Hinton 2002, https://doi.org/10.1162/089976602760128018, for the product of two opinions
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from models.inputs import FIRST, PADDING
from models.ranking import Scores

FILE = "transitions.npz"
LAST = 10  # events that the chain starts from
FADINGS = (0.3, 0.7, 0.9)  # what an event has to say, of what the one after it has: validation chooses from these
FLOOR = 4.0  # in chances of an item that is drawn evenly
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0)  # and from these
ALONE = math.inf  # a weight beside which the network says nothing


@dataclass(frozen=True)
class Transitions:
    """Row i belongs to item index i.

    following  (items, top) int32, indices of what came next, the most frequent first; PADDING at the end, top at least 1
    shares     (items, top) float32, of the table item_transitions; 0 at padding
    weight     of what is added to a score
    fading     of the last events
    chain      those that rank best without a network; None: these
    """

    following: np.ndarray
    shares: np.ndarray
    weight: float = 0.0
    fading: float = FADINGS[0]
    chain: Transitions | None = None

    @classmethod
    def none(cls, items: int) -> Self:
        """Those of items after which nothing has come."""
        return cls(np.full((items, 1), PADDING, np.int32), np.zeros((items, 1), np.float32))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        with np.load(Path(folder) / FILE) as arrays:
            has_chain = "chain_following" in arrays  # earlier versions had none
            return replace(cls._of(arrays), chain=cls._of(arrays, "chain_") if has_chain else None)

    def save(self, folder: str | Path) -> None:
        np.savez(Path(folder) / FILE, **self._arrays(), **(self.chain._arrays("chain_") if self.chain else {}))

    @classmethod
    def _of(cls, arrays: Mapping[str, np.ndarray], prefix: str = "") -> Self:
        following, shares, weight, fading = (arrays[f"{prefix}{name}"] for name in ("following", "shares", "weight", "fading"))
        return cls(following, shares, float(weight), float(fading))

    def _arrays(self, prefix: str = "") -> dict[str, Any]:
        numbers = {"weight": np.float64(self.weight), "fading": np.float64(self.fading)}
        return {f"{prefix}{n}": a for n, a in {"following": self.following, "shares": self.shares, **numbers}.items()}

    def fitted(self, fading: float, weight: float) -> Self:
        return replace(self, fading=fading, weight=weight)

    def chances(self, last: np.ndarray, items: int) -> np.ndarray:
        """The chance of each item to come next, (n, items) float32; those of a row add up to less than 1.

        Args:
            last: (n, LAST) int, each user's last items, the newest first; PADDING where there are fewer.
            items: size of the vocabulary, which may have grown since: nothing has come after what joined later.
        """
        found, rows = np.zeros((len(last), items), np.float32), np.arange(len(last))[:, None]
        says = self.fading ** np.arange(LAST)
        for event, says_so in zip(last.T, says / says.sum(), strict=True):
            known = np.where(event < len(self.following), event, PADDING)
            found[rows, self.following[known]] += np.float32(says_so) * self.shares[known]  # a row names no item twice
        return found

    def bonus(self, last: np.ndarray, items: int) -> np.ndarray:
        """What a weight of 1 adds to scores, (n, items) float32; arguments as of `chances`."""
        return np.log1p(self.chances(last, items) * ((len(self.following) - FIRST) / FLOOR))

    def on_top_of(self, scores: Scores, last: np.ndarray) -> Scores:
        """The scores of a ranker with the weighed bonus added."""
        if not self.weight:
            return scores

        def both(users: slice) -> np.ndarray:
            found = scores(users)  # (users, items)
            found += np.float32(self.weight) * self.bonus(last[users], found.shape[1])
            return found

        return both

    def alone(self, last: np.ndarray, items: int) -> Scores:
        """The chain as a ranker of its own."""
        chain = self.chain or self
        return lambda users: chain.chances(last[users], items)


def last_items(item_ids: np.ndarray, rows: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The items of the last events up to a position, (n, LAST) int32, the newest first; PADDING where there are fewer.

    Args:
        item_ids: (batch, length), the oldest first.
        rows, positions: (n,) int, of each of the n requests.
    """
    at = positions[:, None] - np.arange(LAST)  # (n, LAST)
    return np.where(at >= 0, item_ids[rows[:, None], np.maximum(at, 0)], PADDING).astype(np.int32)


def newest_of_each(lists: Sequence[np.ndarray]) -> np.ndarray:
    """(n, LAST) int32 from the last items of n users, the newest first, of whom some have fewer."""
    found = np.full((len(lists), LAST), PADDING, np.int32)
    for row, items in zip(found, lists, strict=True):
        row[: len(items)] = items[:LAST]
    return found
