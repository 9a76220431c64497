"""The scorer against the model that was exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from models.config import ModelConfig
from models.inputs import HISTORY, UNKNOWN, ItemContent, Sizes
from models.network.transformer import Recommender
from models.scoring.export import export_model
from models.scoring.exported import Exported
from models.scoring.scorer import ITEM_VECTORS, Scorer, known_content
from models.signals.item_values import ItemValues
from models.signals.transitions import Transitions
from models.stream.columns import lists, matrix, ragged
from tests.models.examples import predicted_by_loop

SIZES = Sizes(
    items=9, categories=4, event_types=4, user_features=2, item_numbers=2, item_categories=2, max_length=6, item_labels=3,
    item_label_slots=1, user_numbers=2, user_labels=4, user_label_slots=3,
)  # fmt: skip
RNG = np.random.default_rng(3)
CONTENT = ItemContent(
    RNG.integers(0, 4, (9, 2)).astype(np.int32),
    RNG.normal(size=(9, 2)).astype(np.float32),
    RNG.integers(0, 3, (9, 1)).astype(np.int32),
    np.ones((9, 1), np.float32),
    np.array([0, 0, 3, 1, 0, 2, 5, 1, 1]),
)
VALUES = ItemValues(
    np.linspace(-1, 1, 9, dtype=np.float32),
    np.array([[3, 4], [0, 0], [3, 7], [2, 0], [0, 0], [2, 3], [0, 0], [2, 0], [7, 2]], np.int32),
    np.array([[0, 0], [0, 0], [0.5, 0.25], [0.5, 0], [0, 0], [0.4, 0.3], [0, 0], [0.2, 0], [0.6, 0.1]], np.float32),
    weights=(0.75, 0.5, 1.5, 0.125),
)
EVENTS = np.array([6, 1, 3])


def _rows() -> dict[str, np.ndarray]:
    rows = {i.name: RNG.integers(1, 4, (3, i.entries(6, SIZES))).astype(i.dtype) for i in HISTORY}
    rows["user_features"] = RNG.normal(size=(3, 12)).astype(np.float32)
    rows["item_ids"] = RNG.integers(2, 9, (3, 6)).astype(np.int32)
    for row, events in enumerate(EVENTS):  # padding stands at the end
        for given in HISTORY:
            if not given.whole_row:
                rows[given.name][row, given.entries(int(events), SIZES) :] = 0
    return rows


@pytest.fixture(scope="module")
def model() -> Recommender:
    return Recommender(ModelConfig(dim=8, dropout=0.0), SIZES, seed=1)


@pytest.fixture(scope="module")
def scorer(model: Recommender, tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    folder = tmp_path_factory.mktemp("export") / "m"
    export_model(model, CONTENT, Transitions.none(SIZES.items), VALUES, folder, _rows(), {})
    np.save(folder / ITEM_VECTORS, model.item_vectors(CONTENT).numpy())
    return Scorer.load(folder)


def test_a_user_vector_is_the_models_state_at_the_newest_event(model: Recommender, scorer: Scorer) -> None:
    rows = _rows()
    states = model.states(rows, model.item_vectors(CONTENT)).numpy()  # with all the padding
    expected = np.stack([states[n, events - 1] for n, events in enumerate(EVENTS)])
    np.testing.assert_allclose(scorer.user_vectors(rows, EVENTS), expected, atol=1e-5)


def test_a_value_is_told_by_the_head_and_by_neighbours_of_the_item(scorer: Scorer) -> None:
    vectors, items = RNG.normal(size=(3, 8)).astype(np.float32), np.array([[2, 5], [5, 3], [8, 6]])
    pasts = [
        (np.array([3, 4]), np.array([1.0, -0.5])),
        (np.array([2, 3, 7]), np.array([0.0, 2.0, 1.0])),
        (np.zeros(0, int),) * 2,
    ]
    found = scorer.values(vectors, items, pasts)
    for row, vector, wanted, past in zip(found, vectors, items, pasts, strict=True):
        head = scorer.exported.values(np.stack([vector, vector]), scorer.items[wanted])
        pairs = list(zip(*past, strict=True))
        expected = [predicted_by_loop(VALUES, float(one), pairs, item) for one, item in zip(head, wanted, strict=True)]
        assert row == pytest.approx(expected, abs=1e-5)


def test_item_vectors_are_mapped_not_read(scorer: Scorer) -> None:
    assert isinstance(scorer.items, np.memmap)


def test_what_the_model_has_never_seen_is_unknown_to_it(scorer: Scorer) -> None:
    rows = _rows()
    rows["event_types"][0, 0] = rows["item_ids"][2, 1] = UNKNOWN
    strange = {name: values.copy() for name, values in rows.items()}
    strange["event_types"][0, 0], strange["item_ids"][2, 1] = SIZES.event_types, 40
    np.testing.assert_array_equal(scorer.user_vectors(strange, EVENTS), scorer.user_vectors(rows, EVENTS))


def test_an_item_that_joined_later_has_the_vector_of_a_cold_item_with_its_content(model: Recommender, scorer: Scorer) -> None:
    longer = ItemContent(
        categories=np.vstack([CONTENT.categories, [[2, 77]]]).astype(np.int32),  # 77, as label 55, joined later, too
        numbers=np.vstack([CONTENT.numbers, [[0.5, 1]]]).astype(np.float32),
        labels=np.vstack([CONTENT.labels, [[55]]]).astype(np.int32),
        label_weights=np.vstack([CONTENT.label_weights, [[1.0]]]).astype(np.float32),
        train_events=np.append(CONTENT.train_events, 0),
    )
    vectors = scorer.exported.item_vectors(known_content(scorer.exported, longer))
    content = np.array([[2, UNKNOWN]]), np.array([[0.5, 1]], np.float32), np.array([[UNKNOWN]]), np.ones((1, 1), np.float32)
    cold = model.tower(np.array([UNKNOWN]), *content).numpy()
    np.testing.assert_allclose(vectors[9:], cold, atol=1e-5)
    np.testing.assert_allclose(vectors[:9], model.item_vectors(CONTENT).numpy(), atol=1e-5)


def test_no_rows_have_no_vectors(scorer: Scorer) -> None:
    rows = {name: values[:0] for name, values in _rows().items()}
    assert scorer.user_vectors(rows, EVENTS[:0]).shape == (0, 8)


def test_lists_and_matrices_are_inverse_also_in_a_slice() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(matrix(lists(rows)), rows)
    np.testing.assert_array_equal(matrix(lists(rows).slice(1, 2)), rows[1:3])


def test_a_matrix_of_unequal_lists_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one length and no nulls\. Received 2 rows of 4 entries"):
        matrix(pa.array([[1, 2], [3, None]]))
    with pytest.raises(ValueError, match=r"one length and no nulls\. Received 2 rows of 3 entries"):
        matrix(pa.array([[1, 2], [3]]))


def test_ragged_lists_keep_their_lengths_and_null_is_empty() -> None:
    found = ragged(pa.array([[9], [1, 2], None, [], [3]]).slice(1))
    assert [row.tolist() for row in found] == [[1, 2], [], [], [3]]


def test_an_incomplete_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"Received no card\.json"):
        Exported.load(tmp_path)
