import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.ranking import BLOCK_SCORES, accuracy, best_items, hit_rate, mrr, ndcg, precision, products, ranks, recall


@st.composite
def rankings(draw):
    """Scores with many ties, a target per row, and what each user has seen, with repeats and the target at times."""
    batch, items = draw(st.integers(1, 4)), draw(st.integers(3, 9))
    scores = draw(st.lists(st.lists(st.integers(-2, 2), min_size=items, max_size=items), min_size=batch, max_size=batch))
    targets = draw(st.lists(st.integers(0, items - 1), min_size=batch, max_size=batch))
    seen = draw(st.lists(st.lists(st.integers(0, items - 1), max_size=6), min_size=batch, max_size=batch))
    return np.array(scores, np.float32), np.array(targets), [np.array(s, np.int64) for s in seen]


def rank_by_definition(scores, target, left_out):
    if target < 2 or target in left_out:
        return math.inf
    rank = 0
    for item in range(2, len(scores)):
        if item != target and item not in left_out and scores[item] >= scores[target]:
            rank += 1
    return rank


@given(rankings())
def test_a_rank_counts_the_other_items_that_score_at_least_as_high(case):
    scores, targets, seen = case
    raw, masked = ranks(scores, targets, seen)
    assert raw.tolist() == [rank_by_definition(s, t, ()) for s, t in zip(scores, targets, strict=True)]
    assert masked.tolist() == [rank_by_definition(s, t, set(h)) for s, t, h in zip(scores, targets, seen, strict=True)]


def test_a_score_that_is_no_number_is_never_better_than_another():
    scores = np.array([[0, 0, 1, 2, 3, np.nan], [0, 0, np.nan, np.nan, np.nan, np.nan]])
    raw, masked = ranks(scores, np.array([5, 3]), [np.array([2]), np.array([2])])
    assert raw.tolist() == [3, 3]
    assert masked.tolist() == [2, 2]


def test_no_rows_have_no_ranks():
    raw, masked = ranks(np.zeros((0, 5)), np.zeros(0, int), [])
    assert raw.shape == masked.shape == (0,)


RANKS = np.array([0, 2, 4, 9, math.inf])


def test_metrics_are_their_definitions():
    assert hit_rate(RANKS, 5).tolist() == [1, 1, 1, 0, 0]
    assert recall(RANKS, 5).tolist() == [1, 1, 1, 0, 0]
    assert precision(RANKS, 5).tolist() == [1 / 5, 1 / 5, 1 / 5, 0, 0]
    assert ndcg(RANKS, 5).tolist() == [1, 1 / math.log2(4), 1 / math.log2(6), 0, 0]
    assert mrr(RANKS, 5).tolist() == [1, 1 / 3, 1 / 5, 0, 0]
    assert mrr(RANKS, 0).tolist() == [1, 1 / 3, 1 / 5, 1 / 10, 0]
    assert accuracy(RANKS, 5).tolist() == [1, 0, 0, 0, 0]


def best_by_definition(scores, k, left_out):
    order = sorted((i for i in range(2, len(scores)) if i not in left_out), key=lambda i: (-scores[i], i))[:k]
    return order + [0] * (k - len(order))


@given(rankings(), st.integers(1, 12), st.integers(1, 30))
def test_the_best_items_are_the_head_of_a_stable_sort(case, k, block_scores):
    scores, _, seen = case
    users = np.eye(len(scores), dtype=np.float32)  # so that the products are the scores
    items, found = best_items(products(users, scores.T.copy()), scores.shape[1], k, seen, block_scores)
    expected = [best_by_definition(s, k, set(h)) for s, h in zip(scores, seen, strict=True)]
    assert items.tolist() == expected
    assert found.tolist() == [[s[i] if i else -math.inf for i in row] for s, row in zip(scores, expected, strict=True)]


def test_the_best_items_of_many_users_are_the_same_in_small_blocks():
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(300, 8)).astype("f"), rng.normal(size=(1000, 8)).astype("f")
    seen = [rng.integers(0, 1000, 50) for _ in range(300)]
    whole, blocks = (best_items(products(users, items), len(items), 10, seen, size) for size in (BLOCK_SCORES, 7_000))
    np.testing.assert_array_equal(whole[0], blocks[0])
    assert not any(set(row) & set(s) for row, s in zip(whole[0], seen, strict=True))
    assert (whole[0] >= 2).all()
