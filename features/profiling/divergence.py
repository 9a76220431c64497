"""How far two distributions are apart, and what one tells of another; from counts of bins alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Counts = Sequence[float] | np.ndarray

_EMPTY = 1e-4  # share that an empty bin is taken for, so that the index stays finite, as is the custom


def _shares(counts: Counts) -> np.ndarray:
    array = np.asarray(counts, float)
    return array / max(array.sum(), 1.0)


def population_stability(reference: Counts, current: Counts) -> float:
    """PSI: the sum over bins of (q - p) log(q / p). Below 0.1 is called stable, above 0.25 shifted.

    Args:
        reference, current: counts of the same bins.
    """
    p, q = (np.maximum(_shares(counts), _EMPTY) for counts in (reference, current))
    return float(((q - p) * np.log(q / p)).sum())


def stability_by_chance(reference: Counts, current: Counts) -> float:
    """PSI of two samples of one distribution, on average: (bins - 1)(1 / n + 1 / m), of the bins that one of them has."""
    p, q = np.asarray(reference, float), np.asarray(current, float)
    if not p.any() or not q.any():
        return 0.0
    return float((np.count_nonzero(p + q) - 1) * (1 / p.sum() + 1 / q.sum()))


def kolmogorov_smirnov(reference: Counts, current: Counts) -> float:
    """Largest distance of the two cumulative shares, 0 to 1, as far as the bins, in their order, tell."""
    return float(np.abs(np.cumsum(_shares(reference)) - np.cumsum(_shares(current))).max(initial=0.0))


def mutual_information(counts: np.ndarray) -> float:
    """Mutual information in nats of two binned columns; 0: neither tells anything of the other.

    Args:
        counts: (bins of one, bins of the other), how often each pair was seen.
    """
    joint = np.asarray(counts, float) / max(float(np.sum(counts)), 1.0)
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return max(0.0, float((joint[seen] * np.log(joint[seen] / independent[seen])).sum()))


def information_by_chance(counts: np.ndarray) -> float:
    """Mutual information of two columns that tell nothing of each other, on average: (rows - 1)(columns - 1) / 2n.

    Rows and columns are those with a count: the bias grows with the number of bins and shrinks with that of rows.
    """
    array = np.asarray(counts, float)
    used = [np.count_nonzero(array.any(axis)) for axis in (0, 1)]
    return float((used[0] - 1) * (used[1] - 1) / (2 * array.sum())) if array.any() else 0.0
