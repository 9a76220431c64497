from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.signals.transitions import FLOOR, LAST, Transitions, last_items, newest_of_each

ITEMS = 9
FOLLOWING = np.array([[0, 0], [0, 0], [3, 4], [2, 0], [5, 6], [6, 2], [8, 7], [0, 0], [8, 2]], np.int32)
SHARES = np.array([[0, 0], [0, 0], [0.5, 0.1], [0.9, 0], [0.4, 0.3], [0.2, 0.2], [0.6, 0.05], [0, 0], [0.3, 0.3]], np.float32)
FADING = 0.7
CHAIN = Transitions(FOLLOWING, SHARES, weight=0.8, fading=FADING)

walks = st.lists(st.integers(0, ITEMS + 3), min_size=LAST, max_size=LAST)  # some joined the vocabulary later


def _filled(lists: list[list[int]]) -> np.ndarray:
    return np.array([[*some, *[0] * (LAST - len(some))] for some in lists])


def _chance(last: list[int], item: int) -> float:
    """By the definition: the chain from each of the last events, faded, in shares of what all could say."""
    says = [FADING**n for n in range(LAST)]
    chance = 0.0
    for event, says_so in zip(last, says, strict=True):
        for following, share in zip(FOLLOWING[event], SHARES[event], strict=True) if event < ITEMS else ():
            chance += says_so / sum(says) * float(share) * (following == item)
    return chance


@given(st.lists(walks, min_size=1, max_size=4))
def test_the_bonus_grows_with_the_chance_that_the_last_events_give_an_item(lasts):
    found = CHAIN.on_top_of(lambda users: np.ones((len(lasts), ITEMS + 4), np.float32)[users], np.array(lasts))(slice(None))
    for row, last in zip(found, lasts, strict=True):
        expected = [1 + 0.8 * np.log(1 + _chance(last, item) * (ITEMS - 2) / FLOOR) for item in range(ITEMS + 4)]
        assert row == pytest.approx(expected, abs=1e-5)


def test_without_weight_the_scores_are_left_alone():
    def scores(users):
        return np.ones((1, ITEMS), np.float32)

    assert CHAIN.fitted(FADING, 0.0).on_top_of(scores, _filled([[2, 3, 4]])) is scores


def test_alone_the_chain_ranks_by_the_chance_of_what_comes_next():
    (found,) = CHAIN.alone(_filled([[2]]), ITEMS)(slice(None))
    assert np.argsort(-found, kind="stable")[:2].tolist() == [3, 4]


def test_alone_it_ranks_by_the_reach_and_fading_that_are_best_for_it_alone():
    (found,) = replace(Transitions.none(ITEMS), chain=CHAIN).alone(_filled([[2]]), ITEMS)(slice(None))
    np.testing.assert_array_equal(found, CHAIN.chances(_filled([[2]]), ITEMS)[0])


def test_the_last_items_are_counted_back_from_the_place_of_the_request():
    item_ids = np.array([[5, 6, 7, 8, 0], [4, 3, 0, 0, 0]])
    found = last_items(item_ids, np.array([0, 0, 1, 1]), np.array([3, 1, 1, 0]))
    assert found.tolist() == _filled([[8, 7, 6, 5], [6, 5], [3, 4], [4]]).tolist()
    lists = [[8, 7, 6], [], [4]]
    assert newest_of_each([np.array(items, int) for items in lists]).tolist() == _filled(lists).tolist()
    long = np.arange(2, 2 * LAST + 2)
    assert newest_of_each([long]).tolist() == [long[:LAST].tolist()]
    assert last_items(long[None], np.array([0]), np.array([LAST])).tolist() == [long[1 : LAST + 1][::-1].tolist()]


def test_transitions_that_are_saved_are_loaded(tmp_path):
    CHAIN.save(tmp_path)
    found = Transitions.load(tmp_path)
    assert (found.weight, found.fading) == (0.8, FADING)
    np.testing.assert_array_equal(found.following, FOLLOWING)
    np.testing.assert_array_equal(found.shares, SHARES)
    assert found.chain is None
    replace(CHAIN, chain=Transitions(FOLLOWING[:, ::-1], SHARES[:, ::-1], fading=0.3)).save(tmp_path)
    found = Transitions.load(tmp_path)
    assert found.chain.fading == 0.3
    np.testing.assert_array_equal(found.chain.following, FOLLOWING[:, ::-1])
    np.testing.assert_array_equal(found.chain.shares, SHARES[:, ::-1])
