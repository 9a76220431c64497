from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.item_values import ItemValues
from tests.models.examples import estimate_by_loop

ITEMS = 7
BIASES = np.array([0, 0, 0.5, -0.25, 0.125, 0, -1], np.float32)
NEIGHBOURS = np.array([[0, 0], [0, 0], [3, 4], [2, 0], [5, 6], [6, 2], [3, 0]], np.int32)
SIMILARITIES = np.array([[0, 0], [0, 0], [0.5, 0.1], [0.9, 0], [0.4, 0.3], [0.2, 0.2], [0.6, 0]], np.float32)
VALUES = ItemValues(BIASES, NEIGHBOURS, SIMILARITIES)

events = st.lists(st.tuples(st.integers(0, ITEMS + 2), st.floats(-3, 3, width=32)), max_size=8)


@given(events)
def test_estimates_are_biases_and_the_mean_of_what_neighbours_are_above_theirs(past):
    items = np.arange(ITEMS + 2)
    found = VALUES.estimates(np.array([i for i, _ in past], int), np.array([v for _, v in past], np.float32), items)
    assert found == pytest.approx([estimate_by_loop(VALUES, past, item) for item in items], abs=1e-5)


def test_of_a_user_without_values_items_have_their_biases():
    assert VALUES.estimates(np.array([3, 4]), np.zeros(2), np.arange(ITEMS)).tolist() == BIASES.tolist()


def test_weight_shares_a_value_between_head_and_neighbours():
    head, estimates = np.array([1.0, -2.0]), np.array([0.5, 0.0])
    assert replace(VALUES, weight=0.25).blended(head, estimates) == pytest.approx([0.875, -1.5])
    likes = replace(VALUES, weight=0.25, slope=2.0, threshold=0.5)
    assert likes.blended(head, estimates) == pytest.approx([0.75, -1.75])
    assert VALUES.blended(head, estimates) is head


def test_what_is_saved_is_loaded(tmp_path):
    replace(VALUES, weight=0.5, slope=2.0, threshold=0.25).save(tmp_path)
    found = ItemValues.load(tmp_path)
    assert (found.weight, found.slope, found.threshold) == (0.5, 2.0, 0.25)
    for name in ("biases", "neighbours", "similarities"):
        np.testing.assert_array_equal(getattr(found, name), getattr(VALUES, name))
