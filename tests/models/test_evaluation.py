"""Judging rankers, against loops over the definitions."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from models.evaluation import (
    NEVER,
    Requests,
    estimate_of,
    headline_cutoff,
    judge,
    judge_scores,
    metric_keys,
    popularity,
    user_sums,
)
from models.inputs import FIRST
from models.ranking import METRICS

SCORES = np.array([[9, 9, 3, 1, 2, 1], [9, 9, 1, 5, 4, 2], [9, 9, 3, 1, 5, 1]], np.float32)  # padding, unknown, four items
TARGETS, SEEN = np.array([4, 5, 2]), [np.array([2]), np.array([3, 3, 1]), np.array([], np.int64)]


def _requests() -> tuple[Requests, np.ndarray]:
    return Requests(SCORES, TARGETS, SEEN), np.eye(6, dtype=np.float32)  # products with the identity are the scores


def test_ranks_are_raw_and_without_what_was_seen() -> None:
    judged = judge(*_requests(), k=2)
    # First: only item 2 beats item 4, and it was seen. Second: 3 and 4 beat item 5, 3 was seen. Third: 4 beats 2.
    np.testing.assert_array_equal(judged.ranks, [[1, 2, 1], [0, 1, 1]])


def test_the_best_rank_of_an_item_is_the_best_it_reached_in_any_list() -> None:
    judged = judge(*_requests(), k=2)
    raw, masked = judged.best_ranks  # raw lists: [2, 4], [3, 4], [4, 2]; masked: [4, 3] (3 and 5 tie), [4, 5], [4, 2]
    assert list(raw) == [NEVER, NEVER, 0, 0, 0, NEVER]
    assert list(masked) == [NEVER, NEVER, 1, 1, 0, 1]


def test_padding_of_a_list_that_is_too_long_is_no_item() -> None:
    for best in judge(*_requests(), k=6).best_ranks:
        assert list(best[:FIRST]) == [NEVER, NEVER] and (best[FIRST:] < 4).all()


def test_popularity_ranks_by_training_events_for_everyone() -> None:
    requests, _ = _requests()
    judged = judge_scores(popularity(3, np.array([0, 0, 5, 9, 7, 7])), 6, requests.targets, requests.seen, k=4)
    np.testing.assert_array_equal(judged.ranks, [[2, 2, 3], [2, 1, 3]])  # a tie counts against the target


def test_no_requests_have_no_ranks() -> None:
    nothing = judge(Requests(np.empty((0, 6), np.float32), np.empty(0, np.int64), []), np.eye(6, dtype=np.float32), k=2)
    assert nothing.ranks.shape == (2, 0) and (nothing.best_ranks == NEVER).all()


@pytest.mark.parametrize("key", metric_keys((1, 5)))
def test_with_one_target_a_user_the_estimate_is_that_of_a_mean(key: tuple[str, int]) -> None:
    ranks = np.array([0, 3, np.inf, 1, 0, 7.0])
    found, numbers = estimate_of(user_sums([ranks[[n]] for n in range(6)], *key)), METRICS[key[0]](ranks, key[1])
    mean, half = numbers.mean(), 1.959964 * numbers.std(ddof=1) / 6**0.5
    assert (found.value, found.users) == (pytest.approx(mean), 6)
    assert (found.low, found.high) == (pytest.approx(max(0, mean - half)), pytest.approx(min(1, mean + half)))


def test_repeating_every_target_of_a_user_makes_nothing_surer() -> None:
    once = [np.array([0.0]), np.array([4.0]), np.array([9.0])]
    thrice = [np.repeat(r, 3) for r in once]
    found, expected = (asdict(estimate_of(user_sums(ranks, "ndcg", 10))) for ranks in (thrice, once))
    assert found == pytest.approx(expected)


def test_sums_of_parts_are_the_sums_of_all() -> None:
    users = [np.array([0.0, 2.0]), np.array([5.0]), np.array([1.0, 1.0, 8.0])]
    whole = user_sums(users, "mrr", 0)
    np.testing.assert_allclose(whole, user_sums(users[:1], "mrr", 0) + user_sums(users[1:], "mrr", 0))
    values = [[1, 1 / 3], [1 / 6], [1 / 2, 1 / 2, 1 / 9]]
    assert estimate_of(whole).value == pytest.approx(sum(map(sum, values)) / 6)


def test_one_user_has_no_interval() -> None:
    found = estimate_of(user_sums([np.array([0.0])], "hr", FIRST))
    assert found.value == 1 and np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize(("cutoffs", "told"), [((5, 10, 20), 10), ((1, 5), 5)])
def test_ten_is_told_first_or_the_largest(cutoffs: tuple[int, ...], told: int) -> None:
    assert headline_cutoff(cutoffs) == told
