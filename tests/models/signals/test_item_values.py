import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.signals.item_values import ItemValues
from tests.models.examples import opinions_by_loop, predicted_by_loop

ITEMS = 7
BIASES = np.array([0, 0, 0.5, -0.25, 0.125, 0, -1], np.float32)
NEIGHBOURS = np.array([[0, 0], [0, 0], [3, 4], [2, 0], [5, 6], [6, 2], [3, 0]], np.int32)
SIMILARITIES = np.array([[0, 0], [0, 0], [0.5, 0.1], [0.9, 0], [0.4, 0.3], [0.2, 0.2], [0.6, 0]], np.float32)
VALUES = ItemValues(BIASES, NEIGHBOURS, SIMILARITIES)

events = st.lists(st.tuples(st.integers(0, ITEMS + 2), st.floats(-3, 3, width=32)), max_size=8)


@given(events)
def test_opinions_are_biases_and_the_mean_of_what_neighbours_are_above_theirs(past):
    items = np.arange(ITEMS + 2)
    found = VALUES.opinions(np.array([i for i, _ in past], int), np.array([v for _, v in past], np.float32), items)
    assert found == pytest.approx(np.array([opinions_by_loop(VALUES, past, item) for item in items]), abs=1e-5)


def test_of_a_user_without_values_items_have_their_biases():
    found = VALUES.opinions(np.array([3, 4]), np.zeros(2), np.arange(ITEMS))
    assert found.tolist() == [[bias, 0] for bias in BIASES.tolist()]


def test_a_value_is_told_by_all_opinions_as_they_are_weighed():
    head, items = np.array([[1.0, -2.0], [0.5, 0.0]]), np.array([[2, 3], [4, 6]])
    pasts = [(np.array([3, 4]), np.array([1.0, -0.5])), (np.zeros(0, int), np.zeros(0))]
    weighed = VALUES.fitted((0.5, 1.5, 2.0, -0.25))
    for row, heads, past, wanted in zip(weighed.predict(head, pasts, items), head, pasts, items, strict=True):
        pairs = list(zip(*past, strict=True))
        expected = [predicted_by_loop(weighed, one, pairs, item) for one, item in zip(heads, wanted, strict=True)]
        assert row == pytest.approx(expected, abs=1e-5)
    assert VALUES.predict(head, pasts, items) is head


def test_item_values_that_are_saved_are_loaded(tmp_path):
    VALUES.fitted((0.5, 2.0, 0.25, -1.0)).save(tmp_path)
    found = ItemValues.load(tmp_path)
    assert found.weights == (0.5, 2.0, 0.25, -1.0)
    for name in ("biases", "neighbours", "similarities"):
        np.testing.assert_array_equal(getattr(found, name), getattr(VALUES, name))
