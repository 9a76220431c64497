"""Judges rankers on what users did next: rank of each target, items that reach the lists, metrics with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.inputs import FIRST
from models.ranking import BLOCK_SCORES, METRICS, Scores, best_items, products, ranks

NEVER = np.iinfo(np.int32).max  # best rank of an item that is in no list
NORMAL_95 = 1.959964  # two-sided 95 % quantile of the normal distribution


@dataclass(frozen=True)
class Requests:
    """The moments at which a recommendation is judged.

    users    (n, dim) float32, what the ranker makes of the history; a request's scores are its products with the items.
    targets  (n,) int, the item that came next.
    seen     per request the items of the user's whole history before it.
    """

    users: np.ndarray
    targets: np.ndarray
    seen: Sequence[np.ndarray]


@dataclass(frozen=True)
class Judged:
    """How one ranker did, in both ways to rank; index 0 is raw, 1 leaves out what the user has seen.

    ranks       (2, n) float64, 0-based; infinity: the vocabulary does not know the target.
    best_ranks  (2, items) int32, the best rank (0-based) that each item reached in a list of k; NEVER: in none.
    """

    ranks: np.ndarray
    best_ranks: np.ndarray


def judge(requests: Requests, items: np.ndarray, k: int) -> Judged:
    """Ranks all items for every request.

    Args:
        requests: of one ranker.
        items: (items, dim) float32, the ranker's side of the products.
        k: length of the lists that coverage looks at.
    """
    return judge_scores(products(requests.users, items), len(items), requests.targets, requests.seen, k)


def judge_scores(scores: Scores, size: int, targets: np.ndarray, seen: Sequence[np.ndarray], k: int) -> Judged:
    """As `judge`, of any ranker of `size` items; targets and seen as of Requests."""
    rows = max(1, BLOCK_SCORES // size)
    parts = []
    for start in range(0, len(targets), rows):
        block = slice(start, start + rows)
        parts.append(ranks(scores(block), targets[block], seen[block]))
    best = [_best_ranks(scores, size, k, left_out) for left_out in ([np.empty(0, np.int64)] * len(targets), seen)]
    return Judged(np.hstack([np.stack(part) for part in parts]) if parts else np.empty((2, 0)), np.stack(best))


def popularity(users: int, train_events: np.ndarray) -> Scores:
    """The ranker that gives everyone the same list: an item scores its number of training events."""
    scores = train_events.astype(np.float32)  # which count exactly up to 2^24
    return lambda block: np.tile(scores, (len(range(*block.indices(users))), 1))


def _best_ranks(scores: Scores, size: int, k: int, seen: Sequence[np.ndarray]) -> np.ndarray:
    listed, _ = best_items(scores, size, k, seen)  # (n, k), padding where too few are left
    best = np.full(size, NEVER, np.int32)
    for rank in reversed(range(k)):
        best[listed[:, rank]] = rank
    best[:FIRST] = NEVER
    return best


def metric_keys(cutoffs: Sequence[int]) -> list[tuple[str, int]]:
    """Every (metric, k) that is taken of ranks; k = 0 is no cutoff."""
    return [(name, k) for name in ("hr", "recall", "precision", "ndcg", "mrr") for k in cutoffs] + [("mrr", 0), ("accuracy", 0)]


def headline_cutoff(cutoffs: Iterable[int]) -> int:
    """The cutoff that is reported first: 10, or the largest where 10 is none."""
    given = set(cutoffs)
    return 10 if 10 in given else max(given)


def user_sums(ranks_of_users: Sequence[np.ndarray], metric: str, k: int) -> np.ndarray:
    """What `estimate_of` needs of some users; sums of several such arrays stand for all their users.

    Args:
        ranks_of_users: per user the ranks of their targets, at least one.
    Returns:
        (6,) float64: users, Σn, Σs, Σs², Σsn, Σn², where n is a user's number of targets and s the sum of the metric over them.
    """
    counts = np.array([len(r) for r in ranks_of_users], np.float64)
    values = METRICS[metric](np.concatenate(ranks_of_users), k)
    sums = np.add.reduceat(values, np.concatenate([[0], np.cumsum(counts[:-1])]).astype(np.int64))
    return np.array([len(counts), counts.sum(), sums.sum(), sums @ sums, sums @ counts, counts @ counts])


@dataclass(frozen=True)
class Estimate:
    """A mean over users and its 95 % interval by the normal approximation; NaN where there are too few users."""

    value: float
    low: float
    high: float
    users: int


def estimate_of(sums: np.ndarray) -> Estimate:
    """The mean over targets with its 95 % interval, in [0, 1].

    Targets of one user resemble each other, so the user is the unit of the interval: the standard error of a ratio of two
    sums over users. With one target a user it is that of a mean.

    Args:
        sums: (6,), of `user_sums`.
    """
    users, n, s, ss, sn, nn = (float(x) for x in sums)
    if not n:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = s / n
    if users < 2:
        return Estimate(value, float("nan"), float("nan"), int(users))
    spread = max(0.0, ss - 2 * value * sn + value * value * nn)  # sum of (s - value n)^2
    half = NORMAL_95 * (spread * users / (users - 1)) ** 0.5 / n
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), int(users))
