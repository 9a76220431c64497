"""Opinions of a value, weighed against each other on values that none of them has seen.

A value is predicted as `a * head + b * biases + c * neighbours + d`: a least squares fit of what it is, or a logistic one of
whether it is liked. The fit is regularised towards the head alone with the weight of PRIOR values, so that a few values of
validation do not turn the model over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.signals.likes import is_like

Weights = tuple[float, float, float, float]  # a, b, c, d
HEAD_ALONE: Weights = (1.0, 0.0, 0.0, 0.0)
PRIOR = 10.0
STEPS = 20  # of Newton's method, which has arrived long before; all workers make as many
_N = len(HEAD_ALONE)
TERMS = 1 + _N + _N * _N + 1  # of Predictions.terms


def blended(head: np.ndarray, near: np.ndarray, weights: Weights) -> np.ndarray:
    """All opinions together, float32, of the shape of `head`; `near` has biases and neighbours as one more axis."""
    a, b, c, d = weights
    return (a * head + b * near[..., 0] + c * near[..., 1] + d).astype(np.float32)


@dataclass(frozen=True)
class Predictions:
    """Values, and what the opinions say of them.

    head     (n,) z-scores, or logits of a model of likes
    near     (n, 2) biases and neighbours, z-scores, as of ItemValues.opinions
    actual   (n,) z-scores
    weights  (n,) what each counts for
    """

    head: np.ndarray
    near: np.ndarray
    actual: np.ndarray
    weights: np.ndarray

    def terms(self, weights: np.ndarray, like_score: float | None) -> np.ndarray:
        """Loss under weights (4,), its gradient (4,) and its second derivatives (16,), summed, and what the values count for:
        (TERMS,) float64, which add up over workers. `like_score` is None where values are predicted as z-scores."""
        opinions = np.column_stack([self.head, self.near, np.ones(len(self.head))]).astype(np.float64)  # (n, 4)
        predicted = opinions @ weights
        if like_score is None:
            error = predicted - self.actual
            loss, slope, curve = error**2, 2 * error, np.full(len(predicted), 2.0)
        else:
            liked = is_like(self.actual, like_score)
            chance = 1 / (1 + np.exp(-predicted))
            loss, slope, curve = np.logaddexp(0, predicted) - liked * predicted, chance - liked, chance * (1 - chance)
        gradient, curvature = opinions.T @ (self.weights * slope), (opinions.T * (self.weights * curve)) @ opinions
        return np.concatenate([[self.weights @ loss], gradient, curvature.ravel(), [self.weights.sum()]])


def fit(terms: Callable[[np.ndarray], np.ndarray]) -> tuple[Weights, float, float]:
    """Weights, the loss of all values under them, and what the values count for.

    Args:
        terms: as of Predictions.terms, over all values, by weights.
    """
    start = np.array(HEAD_ALONE)
    weights, steps = start, []
    for _ in range(STEPS + 1):
        loss, gradient, curvature, values = np.split(terms(weights), np.cumsum([1, _N, _N * _N]))
        away = weights - start
        a, b, c, d = weights.tolist()
        steps.append((loss[0] + PRIOR / 2 * away @ away, (a, b, c, d), loss[0], values[0]))
        weights = weights - np.linalg.solve(curvature.reshape(_N, _N) + PRIOR * np.eye(_N), gradient + PRIOR * away)
    _, best, least, count = min(steps, key=lambda step: step[0])  # should a step have gone too far
    return best, float(least), float(count)
