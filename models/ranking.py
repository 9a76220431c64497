"""Full rankings: the rank of each target among all items, metrics of ranks, and the top k. numpy alone.

Items are vocabulary indices; padding and unknown are never ranked. Ranks are 0-based, and a tie counts against the target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from models.inputs import FIRST, PADDING

BLOCK_SCORES = 1 << 22  # scores that exist at once: 16 MB


def ranks(scores: np.ndarray, targets: np.ndarray, seen: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The rank of each row's target among all items, and among all but the items the row's user has seen.

    Args:
        scores: (batch, items) float, higher is better.
        targets: (batch,) int, the item that came next.
        seen: per row the indices of the items to leave out, repeats allowed.
    Returns:
        (raw, masked), each (batch,) float64: how many other items score at least as high; infinity for a target
        that the vocabulary does not know, and among the items that are left for one that is left out.
    """
    rows = np.arange(len(targets))
    # (batch, items), True at items that rank no later than the target; NaN counts against the target, as a tie does.
    with_target = ~(scores < scores[rows, targets][:, None])
    with_target[:, :FIRST] = False
    with_target[rows, targets] = False
    raw = with_target.sum(axis=1).astype(np.float64)
    row, item = _pairs(seen)
    with_target[row, item] = False
    masked = with_target.sum(axis=1).astype(np.float64)
    masked[row[item == np.asarray(targets)[row]]] = np.inf
    unknown = np.asarray(targets) < FIRST
    raw[unknown] = masked[unknown] = np.inf
    return raw, masked


def _pairs(seen: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Row number and item index of everything seen, flat."""
    counts = [len(s) for s in seen]
    items = np.concatenate([np.asarray(s, np.int64) for s in seen]) if seen else np.empty(0, np.int64)
    return np.repeat(np.arange(len(seen)), counts), items


def hit_rate(ranks: np.ndarray, k: int) -> np.ndarray:
    """Per user, 1.0 where the target is among the first k."""
    return (ranks < k).astype(np.float64)


def recall(ranks: np.ndarray, k: int) -> np.ndarray:
    """Per user, the share of the targets that is among the first k: with one target, the hit rate."""
    return hit_rate(ranks, k)


def precision(ranks: np.ndarray, k: int) -> np.ndarray:
    """Per user, the share of the first k that are targets."""
    return hit_rate(ranks, k) / k


def ndcg(ranks: np.ndarray, k: int) -> np.ndarray:
    """Per user, 1 / log2(rank + 2) among the first k, else 0: with one target the ideal gain is 1."""
    return np.where(ranks < k, 1 / np.log2(ranks + 2), 0.0)


def mrr(ranks: np.ndarray, k: int) -> np.ndarray:
    """Per user, 1 / (rank + 1) among the first k, else 0; k = 0: without a cutoff."""
    return np.where((ranks < k) | (k == 0), 1 / (ranks + 1), 0.0)


def accuracy(ranks: np.ndarray, k: int = 1) -> np.ndarray:
    """Per user, 1.0 where the target is ranked first, whatever k."""
    return hit_rate(ranks, 1)


METRICS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "hr": hit_rate, "recall": recall, "precision": precision, "ndcg": ndcg, "mrr": mrr, "accuracy": accuracy,
}  # fmt: skip


# What a ranker makes of some of the users: their scores of all items, (users of the slice, items) float32, a new array.
Scores = Callable[[slice], np.ndarray]


def products(user_vectors: np.ndarray, item_vectors: np.ndarray) -> Scores:
    """The scores of a model of vectors, (users, dim) and (items, dim) float32."""
    return lambda users: user_vectors[users] @ item_vectors.T


def best_items(
    scores: Scores, size: int, k: int, seen: Sequence[np.ndarray], block_scores: int = BLOCK_SCORES
) -> tuple[np.ndarray, np.ndarray]:
    """The k items with the highest scores, best first; a tie goes to the lower index.

    Args:
        size: number of items.
        k: how many.
        seen: of every user the indices of the items to leave out.
        block_scores: scores that exist at once.
    Returns:
        items (users, k) int32 and scores (users, k) float32; where fewer than k items are left, padding with -inf.
    """
    users, rows = len(seen), max(1, block_scores // size)
    items = np.full((users, k), PADDING, np.int32)
    found_scores = np.full((users, k), -np.inf, np.float32)
    for start in range(0, users, rows):
        block = slice(start, start + rows)
        product = scores(block)  # (rows, items)
        product[:, :FIRST] = -np.inf
        product[_pairs(seen[block])] = -np.inf
        best = _best(product, min(k, product.shape[1]))  # (rows, at most k)
        found = np.take_along_axis(product, best, axis=1)
        found_scores[block, : best.shape[1]] = found
        items[block, : best.shape[1]] = np.where(np.isneginf(found), PADDING, best)
    return items, found_scores


def _best(scores: np.ndarray, k: int) -> np.ndarray:
    """(rows, k) columns of the k highest scores, best first, ties by column."""
    columns = np.sort(
        np.argpartition(scores, -k, axis=1)[:, -k:], axis=1
    )  # ascending, so that a stable sort breaks ties by column
    least = np.take_along_axis(scores, columns, axis=1).min(axis=1)  # (rows,), the k-th highest score
    # argpartition takes any of the columns that tie at the border: where more tie than fit, take the lowest ones.
    crowded = ((scores >= least[:, None]).sum(axis=1) > k) & ~np.isneginf(least)  # what is left out needs no order
    for row in np.flatnonzero(crowded):
        columns[row] = np.sort(np.argsort(-scores[row], kind="stable")[:k])
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)
