import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import models.scoring.export
from models.errors import ExportError
from models.network.transformer import Recommender
from models.scoring.export import export_model
from models.scoring.exported import FILES, Exported
from models.scoring.exported import _run as run
from models.signals.item_values import ItemValues
from models.signals.transitions import Transitions
from tests.models.examples import CONFIG, SIZES, batch, content, history, states

TRANSITIONS = Transitions(np.full((SIZES.items, 2), 3, np.int32), np.full((SIZES.items, 2), 0.25, np.float32), 0.7)
VALUES = ItemValues.none(SIZES.items)


@pytest.fixture(scope="module")
def model() -> Recommender:
    return Recommender(CONFIG, SIZES, seed=3)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "model"
    export_model(model, content(), TRANSITIONS, VALUES, folder, history(batch()), {"model_id": "m1"})
    return folder


def test_the_export_computes_what_the_model_computes_at_any_batch_and_length(model, folder):
    exported = Exported.load(folder)
    vectors = exported.item_vectors(content())
    np.testing.assert_allclose(vectors, model.item_vectors(content()), atol=1e-5)
    for arrays in (batch(), batch(events=(2,), length=2), batch(events=(9, 4, 1, 7, 2), length=9)):
        np.testing.assert_allclose(exported.states(history(arrays), vectors), states(model, arrays), atol=1e-5)


def test_a_large_catalogue_goes_through_the_tower_block_by_block(folder, monkeypatch):
    exported, seen = Exported.load(folder), []
    whole = exported.item_vectors(content())
    monkeypatch.setattr("models.scoring.exported.ITEMS_AT_ONCE", 5)
    monkeypatch.setattr("models.scoring.exported._run", lambda s, inputs: seen.append(len(inputs["ids"])) or run(s, inputs))
    np.testing.assert_allclose(exported.item_vectors(content()), whole, atol=1e-6)
    assert seen == [5] * (SIZES.items // 5) + [SIZES.items % 5] * (SIZES.items % 5 > 0)


def test_the_exported_rating_head_says_what_the_model_says(model, folder):
    users, items = np.random.default_rng(1).normal(size=(2, 7, CONFIG.dim)).astype(np.float32)
    found = Exported.load(folder).values(users, items)
    assert found.shape == (7,)
    np.testing.assert_allclose(found, model.values(users, items), atol=1e-5)


def test_a_catalogue_without_content_is_exported_too(tmp_path):
    sizes = dataclasses.replace(SIZES, item_numbers=0, item_categories=0, item_label_slots=0)
    bare = Recommender(CONFIG, sizes, seed=5)
    export_model(bare, content(sizes), TRANSITIONS, VALUES, tmp_path / "model", history(batch()), {})
    vectors = Exported.load(tmp_path / "model").item_vectors(content(sizes))
    np.testing.assert_allclose(vectors, bare.item_vectors(content(sizes)), atol=1e-5)


def test_a_cold_item_is_exported_with_the_unknown_id(model, folder):
    items = content()
    items.train_events[5:] = 0
    np.testing.assert_allclose(Exported.load(folder).item_vectors(items), model.item_vectors(items), atol=1e-5)


def test_inputs_of_other_types_are_converted(folder):
    exported, arrays = Exported.load(folder, threads=2), history(batch())
    vectors = exported.item_vectors(content())
    wide = {name: a.astype(np.int64 if a.dtype == np.int32 else np.float64) for name, a in arrays.items()}
    wide["user_features"] = wide["user_features"].reshape(3, 6, -1)
    np.testing.assert_array_equal(exported.states(wide, vectors.astype(np.float64)), exported.states(arrays, vectors))


def test_the_card_holds_sizes_config_and_what_the_trainer_adds(folder):
    card = json.loads((folder / "card.json").read_text())
    assert card["model_id"] == "m1"
    assert card["sizes"]["items"] == SIZES.items
    assert card["config"]["dim"] == CONFIG.dim
    assert Exported.load(folder).card == card
    assert {p.name for p in folder.iterdir()} == {*FILES}


def test_an_export_that_computes_something_else_is_refused_and_the_old_one_stays(model, folder, monkeypatch, tmp_path):
    original = models.scoring.export._write_graph

    def then_change_the_model(*arguments):
        original(*arguments)
        changed.tower.ids.embeddings.assign_add(np.full((SIZES.items, CONFIG.dim), 2e-4, "f"))

    changed = Recommender(CONFIG, SIZES, seed=4)
    target = tmp_path / "model"
    export_model(changed, content(), TRANSITIONS, VALUES, target, history(batch()), {"model_id": "old"})
    monkeypatch.setattr(models.scoring.export, "_write_graph", then_change_the_model)
    with pytest.raises(
        ExportError, match=r"exported vectors must equal the model's to 0.0001\. Received a difference of 0\.000"
    ):
        export_model(changed, content(), TRANSITIONS, VALUES, target, history(batch()), {"model_id": "new"})
    assert Exported.load(target).card["model_id"] == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert ExportError.exit_code == 3


def test_a_difference_that_is_no_number_is_refused():
    with pytest.raises(ExportError, match="Received a difference of nan"):
        models.scoring.export._refuse_difference("states", np.array([np.nan]), np.array([1.0]))


def test_an_export_tells_of_each_part_before_it_begins(model, tmp_path):
    told: list[str] = []
    export_model(model, content(), TRANSITIONS, VALUES, tmp_path / "model", history(batch()), {}, told.append)
    graphs = [f"export of {name}.onnx" for name in ("encoder", "items", "values")]
    assert told == [*graphs, "check of the export"]


def test_an_empty_sample_proves_nothing(model, tmp_path):
    with pytest.raises(ExportError, match=r"the sample must hold examples.* Received none\."):
        export_model(model, content(), TRANSITIONS, VALUES, tmp_path / "model", history(batch(events=())), {})
    assert list(tmp_path.iterdir()) == []


def test_no_examples_have_no_states(folder):
    exported = Exported.load(folder)
    result = exported.states(history(batch(events=(), length=4)), exported.item_vectors(content()))
    assert result.shape == (0, 4, CONFIG.dim)


def test_a_second_export_replaces_the_first_and_what_killed_exports_have_left(model, tmp_path):
    for left in (".model.1", ".model.2.old", ".model2.3"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "encoder.onnx").write_text("half a graph")
    for model_id in ("first", "second"):
        export_model(model, content(), TRANSITIONS, VALUES, tmp_path / "model", history(batch()), {"model_id": model_id})
    assert Exported.load(tmp_path / "model").card["model_id"] == "second"
    assert {p.name for p in tmp_path.iterdir()} == {"model", ".model2.3"}  # the draft of another model is not ours


def test_a_folder_without_a_card_is_no_export(tmp_path):
    with pytest.raises(ExportError, match=r"Received no card\.json, encoder\.onnx, items\.onnx, values\.onnx, tra"):
        Exported.load(tmp_path)
