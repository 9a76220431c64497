import numpy as np
import pytest

from models.inputs import FIRST, PADDING
from models.signals.likeness import Likeness, ranked_rows

A, B, C, D = range(FIRST, FIRST + 4)
NEIGHBOURS, SIMILARITIES = ranked_rows(
    np.array([A, A, B]), np.array([1, 2, 1]), np.array([B, C, A]), np.array([0.5, 0.25, 0.5]), FIRST + 4
)
LIKENESS = Likeness(
    NEIGHBOURS,
    SIMILARITIES,
    categories=np.array([[0, 0], [0, 0], [2, 3], [2, 0], [3, 0], [0, 0]], np.int32),
    numbers=np.array([[0, 0], [0, 0], [1, 0], [0, 1], [1, 1], [0, 0]], np.float32),
)


def _reasons(past, items):
    return LIKENESS.reasons(np.array(past, int), np.array(items))


def test_an_item_is_recommended_because_of_the_most_similar_item_of_the_past():
    found = _reasons([C, B], [A])
    assert (found.because[0], found.because_similarity[0]) == (B, 0.5)
    found = _reasons([C], [A])
    assert (found.because[0], found.because_similarity[0]) == (C, 0.25)


def test_an_item_that_is_no_neighbour_of_the_past_has_no_because():
    found = _reasons([A], [D])
    assert found.because[0] == PADDING
    assert np.isnan(found.because_similarity[0])


def test_categories_are_compared_with_how_often_each_stands_in_the_past():
    """The past has category 2 twice and 3 once; A has both: (2 + 1) / (sqrt(2) sqrt(5))."""
    found = _reasons([A, B], [A, C, D])
    assert found.category_similarity[:2] == pytest.approx([3 / 10**0.5, 1 / 5**0.5])
    assert np.isnan(found.category_similarity[2])


def test_content_is_compared_with_the_mean_of_the_past():
    found = _reasons([A, C], [A, D])  # their sum is (2, 1)
    assert found.content_similarity[0] == pytest.approx(2 / 5**0.5)
    assert np.isnan(found.content_similarity[1])


def test_items_without_any_content_are_compared_by_their_neighbours_alone():
    bare = Likeness(NEIGHBOURS, SIMILARITIES, np.zeros((FIRST + 4, 0), np.int32), np.zeros((FIRST + 4, 0), np.float32))
    found = bare.reasons(np.array([C, B]), np.array([A]))
    assert found.because[0] == B
    assert np.isnan([found.category_similarity[0], found.content_similarity[0]]).all()


def test_without_a_past_there_is_nothing_to_compare():
    found = _reasons([], [A])
    assert found.because[0] == PADDING
    assert np.isnan([found.because_similarity[0], found.category_similarity[0], found.content_similarity[0]]).all()


def test_items_without_any_neighbours_can_be_asked_for():
    none = ranked_rows(*[np.array([], int)] * 3, np.array([]), FIRST + 4)
    assert Likeness(*none, LIKENESS.categories, LIKENESS.numbers).reasons(np.array([A]), np.array([B])).because[0] == PADDING


def test_likeness_is_read_as_it_was_written(tmp_path):
    LIKENESS.save(tmp_path)
    read = Likeness.load(tmp_path)
    for name, array in vars(LIKENESS).items():
        assert np.array_equal(getattr(read, name), array)


def test_nearest_neighbours_score_an_item_by_every_event_of_the_past():
    """A has the neighbours B (.5) and C (.25), B has A (.5); an event that comes twice counts twice."""
    scores = LIKENESS.neighbour_scores([np.array([A, A, B]), np.array([], int)])(slice(0, 2))
    assert scores[0, FIRST:].tolist() == [0.5, 1.0, 0.5, 0.0]
    assert scores[1].tolist() == [0.0] * (FIRST + 4)
