import numpy as np
import pytest

from models.signals.blend import HEAD_ALONE, PRIOR, Predictions, blended, fit

RNG = np.random.default_rng(4)
NEAR = RNG.normal(size=(60, 2))
HEAD = RNG.normal(size=60) + NEAR[:, 0]
ACTUAL = 0.5 * HEAD + 0.25 * NEAR[:, 0] + NEAR[:, 1] - 0.3 + RNG.normal(size=60)
FITTED = Predictions(HEAD, NEAR, ACTUAL, RNG.choice([0.5, 1.0], 60))


def _loss(weights, like_score):
    """With what holds the weights at the head alone, one value at a time."""
    a, b, c, d = weights
    total = PRIOR / 2 * sum((w - start) ** 2 for w, start in zip(weights, HEAD_ALONE, strict=True))
    for head, near, actual, weight in zip(FITTED.head, FITTED.near, FITTED.actual, FITTED.weights, strict=True):
        predicted = a * head + b * near[0] + c * near[1] + d
        if like_score is None:
            total += weight * (predicted - actual) ** 2
        else:
            total += weight * np.log(1 + np.exp(-predicted if actual >= like_score else predicted))
    return total


@pytest.mark.parametrize("like_score", [None, 0.5])
def test_no_other_weights_have_a_lower_loss(like_score):
    weights, loss, values = fit(lambda weights: FITTED.terms(weights, like_score))
    away = PRIOR / 2 * sum((w - start) ** 2 for w, start in zip(weights, HEAD_ALONE, strict=True))
    assert loss == pytest.approx(_loss(weights, like_score) - away, rel=1e-9)
    assert values == pytest.approx(FITTED.weights.sum())
    for n in range(4):
        for step in (-1e-3, 1e-3):
            others = [w + step * (m == n) for m, w in enumerate(weights)]
            assert _loss(others, like_score) > _loss(weights, like_score)  # it is convex, so this is the lowest of all
    assert _loss(weights, like_score) < _loss(HEAD_ALONE, like_score) - 1  # or it could not tell


def test_what_workers_tell_adds_up():
    parts = [
        Predictions(HEAD[part], NEAR[part], ACTUAL[part], FITTED.weights[part])
        for part in (slice(0, 11), slice(11, 60), slice(60, 60))
    ]
    weights = np.array([0.1, 0.2, -0.3, 0.4])
    for like_score in (None, 0.5):
        assert sum(part.terms(weights, like_score) for part in parts) == pytest.approx(FITTED.terms(weights, like_score))


def test_without_values_the_head_is_left_alone():
    nothing = Predictions(np.zeros(0), np.zeros((0, 2)), np.zeros(0), np.zeros(0))
    assert fit(lambda weights: nothing.terms(weights, None)) == (HEAD_ALONE, 0.0, 0.0)


def test_opinions_are_added_up_by_their_weights():
    head, near = np.array([[1.0, 2.0]]), np.array([[[0.5, -1.0], [0.0, 4.0]]])
    assert blended(head, near, (0.5, 2.0, 0.25, 1.0)).tolist() == [[0.5 + 1 - 0.25 + 1, 1 + 0 + 1 + 1]]
