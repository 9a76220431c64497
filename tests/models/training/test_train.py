import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.errors import CheckpointError, DivergedError, LanesError, StreamError, WorkerError
from models.inputs import HISTORY
from models.scoring.exported import Exported
from models.signals.blend import HEAD_ALONE, Predictions, fit
from models.signals.content import read_item_content
from models.signals.transitions import ALONE, FADINGS, LAST, WEIGHTS
from models.training import validation
from models.training.checkpoint import best_model
from models.training.cluster import Cluster
from models.training.spec import TrainingResult, TrainSpec
from models.training.train import TrainingRun, train
from models.training.validation import Judgement, Validation
from models.training.watchdog import Watchdog
from tests.models.examples import opinions_by_loop
from tests.models.tables import ITEMS, SIZES, item_transitions, sequence_rows, training_spec, write_tables

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


CHANCE = sum(1 / np.log2(rank + 2) for rank in range(ITEMS - 2)) / (ITEMS - 2)  # NDCG@10 of a ranking of ten items by lot


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables") / "é b#x?y%z"  # none of it is special in a path
    folder.mkdir()
    write_tables(folder, [*sequence_rows(50, 4), *sequence_rows(70, 8), *sequence_rows(20, 8, split="valid")])
    return folder


def run(spec: TrainSpec, progress: Callable[[int, int], None] = lambda done, total: None) -> tuple[TrainingResult, list[dict]]:
    lines: list[dict] = []
    with Watchdog(600, lambda doing: None) as watchdog:
        trained = train(spec, Cluster(600), watchdog, lambda step, **fields: lines.append({"step": step, **fields}), progress)
    return trained, lines


def weights(folder: str) -> dict[str, np.ndarray]:
    """Every number of the newest checkpoint: weights, optimiser, averages, best weights, position."""
    reader = tf.train.load_checkpoint(folder)
    names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n and "save_counter" not in n]
    return {name: reader.get_tensor(name) for name in names}


def assert_equal_bit_for_bit(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.fixture(scope="module")
def undisturbed(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainSpec, TrainingResult, list[dict]]:
    spec = training_spec(tables, tmp_path_factory.mktemp("undisturbed"))
    spec = spec.model_copy(update={"export": f"{spec.folder}/export"})
    return spec, *run(spec)


def test_a_model_learns_what_comes_next(tables, tmp_path):
    _, lines = run(training_spec(tables, tmp_path, epochs=9, learning_rate=0.02))
    epochs = [line for line in lines if line["step"] == "epoch"]
    assert epochs[-1]["loss"] < 0.5 * epochs[0]["loss"]
    assert epochs[-1]["valid_ndcg@10"] > 0.8


def test_a_model_to_look_inside_has_the_weights_that_are_exported(tables, undisturbed, tmp_path):
    spec, _, _ = undisturbed
    content = read_item_content(str(tables / "item_content"), 0, SIZES)
    np.testing.assert_allclose(
        best_model(spec).item_vectors(content), Exported.load(spec.export).item_vectors(content), rtol=1e-4, atol=1e-6
    )
    with pytest.raises(CheckpointError, match="must hold a checkpoint"):
        best_model(spec.model_copy(update={"folder": str(tmp_path)}))


def test_a_run_says_once_an_epoch_how_it_goes(undisturbed):
    _, trained, lines = undisturbed
    epochs = [line for line in lines if line["step"] == "epoch"]
    steps = 4 + 5  # 2 lanes of 8 rows: ceil(25 / 8) for 50 rows, ceil(35 / 8) for 70
    assert [e["steps"] for e in epochs] == [steps, 2 * steps, 3 * steps]
    assert all(0 <= e["share_waiting_for_data"] <= 1 and e["positions_per_second"] > 0 for e in epochs)
    assert trained.rows == 120
    assert trained.metrics["valid_ndcg@10"] == max(e["valid_ndcg@10"] for e in epochs)


def test_a_run_says_on_the_way_through_an_epoch_how_it_goes(tables, tmp_path, monkeypatch):
    monkeypatch.setattr("models.training.train.TELL_SECONDS", 0.0)
    _, lines = run(training_spec(tables, tmp_path, epochs=2))
    told = [line for line in lines if line["step"] == "progress"]
    assert [(line["epoch"], line["steps"], line["of"]) for line in told] == [(1 + n // 9, 1 + n, 18) for n in range(18)]
    assert [line["epoch_seconds_left"] for line in told[8::9]] == [0, 0]
    assert all(line["positions_per_second"] > 0 for line in told)


def _gain(scores: np.ndarray, row: dict, position: int) -> float:
    """NDCG@10 of the target at a position, among all items that are new to the user then."""
    target = row["targets"][position]
    new = set(range(2, ITEMS)) - set(row["item_ids"][: position + 1]) - {target}
    rank = sum(scores[item] >= scores[target] for item in new)
    return 1 / np.log2(rank + 2) if rank < 10 else 0.0


def test_the_validation_metric_is_the_mean_over_all_new_items_ranked_one_by_one(tables, undisturbed):
    spec, trained, _ = undisturbed
    exported = Exported.load(spec.export)
    content = read_item_content(str(tables / "item_content"), 0, SIZES)
    vectors, gains = exported.item_vectors(content), []
    for row in sequence_rows(20, 8, split="valid"):
        states = exported.states({i.name: np.array([row[i.name]], i.dtype) for i in HISTORY}, vectors)[0]
        position = row["weights"].index(1.0)
        gains.append(_gain(vectors @ states[position], row, position))
    assert trained.metrics["valid_ndcg@10"] == pytest.approx(np.mean(gains), abs=1e-6)


def test_the_validation_loss_of_values_is_the_mean_squared_error_of_one_by_one(tables, undisturbed):
    spec, trained, _ = undisturbed
    exported, errors = Exported.load(spec.export), []
    vectors = exported.item_vectors(read_item_content(str(tables / "item_content"), 0, SIZES))
    for row in sequence_rows(20, 8, split="valid"):
        states = exported.states({i.name: np.array([row[i.name]], i.dtype) for i in HISTORY}, vectors)[0]
        position = row["weights"].index(1.0)
        predicted = exported.values(states[[position]], vectors[[row["targets"][position]]])[0]
        errors.append((predicted - row["target_values"][position]) ** 2)
    assert trained.metrics["valid_value_loss"] == pytest.approx(np.mean(errors), rel=1e-4)


def test_weights_are_kept_by_what_they_are_to_be_good_at(tables, tmp_path):
    trained, lines = run(training_spec(tables, tmp_path, epochs=6, keep_by="value", learning_rate=0.05, average=0.0, seed=1))
    losses, gains = ([e[name] for e in lines if e["step"] == "epoch"] for name in ("valid_value_loss", "valid_ndcg@10"))
    assert trained.metrics["valid_value_loss"] == min(losses)
    assert np.argmin(losses) != np.argmax(gains)  # or the test could not tell


def _most_frequent(transitions: list[dict], reach: int) -> list[int]:
    """The item that follows each most often."""
    return [pair["next_index"] for pair in transitions if (pair["reach"], pair["rank"]) == (reach, 1)]


def test_transitions_are_weighed_as_is_best_on_validation_rows_ranked_one_by_one(tables, undisturbed):
    spec, trained, _ = undisturbed
    exported, table = Exported.load(spec.export), item_transitions().to_pylist()
    vectors = exported.item_vectors(read_item_content(str(tables / "item_content"), 0, SIZES))
    ndcg, alone = {}, {}
    for reach, fading, weight in itertools.product((1, 3), FADINGS, (*WEIGHTS, ALONE)):
        gains, says = [], [fading**n for n in range(LAST)]
        for row in sequence_rows(20, 8, split="valid"):
            position, chances = row["weights"].index(1.0), np.zeros(ITEMS)
            for back, item in enumerate(row["item_ids"][: position + 1][::-1][:LAST]):
                for pair in table:
                    chances[pair["next_index"]] += (
                        says[back] / sum(says) * pair["share"] * ((pair["reach"], pair["index"]) == (reach, item))
                    )
            states = exported.states({i.name: np.array([row[i.name]], i.dtype) for i in HISTORY}, vectors)[0]
            bonus = np.log(1 + chances * (ITEMS - 2) / 4)
            gains.append(_gain(bonus if weight == ALONE else vectors @ states[position] + weight * bonus, row, position))
        if weight == ALONE:
            alone[reach, fading] = np.mean(gains)
        else:
            ndcg[reach, fading, weight] = np.mean(gains)
    best = max(ndcg.values())
    assert trained.metrics["valid_whole_ndcg@10"] == pytest.approx(best, abs=1e-6)
    chosen = tuple(trained.metrics[f"transition_{name}"] for name in ("reach", "fading", "weight"))
    assert (exported.transitions.fading, exported.transitions.weight) == chosen[1:]
    assert exported.transitions.following[2:, 0].tolist() == _most_frequent(table, chosen[0])
    assert ndcg[chosen] == pytest.approx(best, abs=1e-6)
    (reach,) = (r for r in (1, 3) if exported.transitions.chain.following[2:, 0].tolist() == _most_frequent(table, r))
    assert alone[reach, exported.transitions.chain.fading] == pytest.approx(max(alone.values()), abs=1e-6)
    assert max(alone.values()) > min(alone.values()) + 1e-3  # or it could not tell
    assert best > max(ndcg[1, fading, weight] for fading, weight in itertools.product(FADINGS, WEIGHTS))  # or it could not tell


@pytest.fixture
def judged(monkeypatch) -> list[float]:
    """How many targets each batch of validation was judged by, from now on."""
    counts: list[float] = []

    def count(self: Validation, *given: Any) -> np.ndarray:
        sums = judge(self, *given)
        counts.append(sums[0, Judgement.TARGETS])
        return sums

    judge = Validation._judge
    monkeypatch.setattr(Validation, "_judge", count)
    return counts


def test_of_many_targets_the_first_of_each_lane_weigh_the_transitions(undisturbed, judged, monkeypatch):
    finished = undisturbed[0].model_copy(update={"export": None})
    run(finished)
    assert sum(judged) == 20  # all that there are
    judged.clear()
    monkeypatch.setattr(validation, "WEIGHED", 5)
    run(finished)
    assert judged == [3, 3]  # of each of two lanes


def test_of_many_targets_the_first_of_each_lane_judge_an_epoch(tables, tmp_path, judged, monkeypatch):
    monkeypatch.setattr(validation, "JUDGED", 5)
    run(training_spec(tables, tmp_path, epochs=1))
    assert judged[:2] == [3, 3]  # of each of two lanes
    assert sum(judged[2:]) == 20  # that the transitions are weighed on


def test_without_transitions_the_chain_is_the_best_all_the_same(tables, tmp_path, undisturbed):
    spec = training_spec(tables, tmp_path, epochs=1, model={"transitions": False})
    trained, _ = run(spec.model_copy(update={"export": f"{tmp_path}/export"}))
    found, best = (Exported.load(folder).transitions for folder in (f"{tmp_path}/export", undisturbed[0].export))
    assert found.weight == 0
    assert "transition_weight" not in trained.metrics
    assert found.chain.fading == best.chain.fading
    np.testing.assert_array_equal(found.chain.following, best.chain.following)


@pytest.mark.parametrize("like_score", [None, 0.25])
def test_opinions_of_values_are_weighed_on_validation_values_told_one_by_one(tables, tmp_path, like_score):
    spec = training_spec(tables, tmp_path, epochs=1, loss={"like_from": None if like_score is None else 4})
    spec = spec.model_copy(update={"export": f"{tmp_path}/export", "like_score": like_score})
    trained, _ = run(spec)
    exported, heads, opinions, actual = Exported.load(spec.export), [], [], []
    vectors = exported.item_vectors(read_item_content(str(tables / "item_content"), 0, SIZES))
    for row in sequence_rows(20, 8, split="valid"):
        states = exported.states({i.name: np.array([row[i.name]], i.dtype) for i in HISTORY}, vectors)[0]
        position = row["weights"].index(1.0)
        past = list(zip(row["item_ids"][: position + 1], row["values"][: position + 1], strict=True))
        heads.append(exported.values(states[[position]], vectors[[row["targets"][position]]])[0])
        opinions.append(opinions_by_loop(exported.item_values, past, row["targets"][position]))
        actual.append(row["target_values"][position])
    predictions = Predictions(np.array(heads), np.array(opinions), np.array(actual), np.ones(20))
    weights, loss, _ = fit(lambda weights: predictions.terms(weights, like_score))
    assert exported.item_values.weights == pytest.approx(weights, rel=1e-3)
    assert trained.metrics["valid_whole_value_loss"] == pytest.approx(loss / 20, rel=1e-4)
    assert [trained.metrics[f"value_{name}"] for name in ("of_head", "of_biases", "of_neighbours", "constant")] == list(
        exported.item_values.weights
    )


def test_without_neighbours_values_are_told_by_the_head_alone(tables, tmp_path):
    spec = training_spec(tables, tmp_path, epochs=1, model={"item_values": False})
    trained, lines = run(spec.model_copy(update={"export": f"{tmp_path}/export"}))
    assert Exported.load(f"{tmp_path}/export").item_values.weights == HEAD_ALONE
    assert "value_of_head" not in trained.metrics
    assert "item_values" not in [line["step"] for line in lines]


@pytest.mark.parametrize("stop", [8, 20])  # a step after a checkpoint, and in the last epoch
def test_a_run_that_stopped_at_any_step_ends_with_the_weights_of_an_undisturbed_run(tables, tmp_path, undisturbed, stop):
    def interrupt(done: int, total: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    spec = training_spec(tables, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(spec, interrupt)
    trained, lines = run(spec)
    assert lines[0]["at"] == {8: 7, 20: 18}[stop]
    assert_equal_bit_for_bit(weights(spec.folder), weights(undisturbed[0].folder))
    without_time = {k: v for k, v in trained.metrics.items() if k != "seconds"}
    assert without_time == {k: v for k, v in undisturbed[1].metrics.items() if k != "seconds"}


def test_a_run_at_work_keeps_another_out_of_its_folder_until_it_ends(tables, tmp_path):
    spec = training_spec(tables, tmp_path, epochs=1)

    def train_it_too(done: int, total: int) -> None:
        if done == total:
            with pytest.raises(WorkerError, match=rf"{tmp_path}/lock: must be free. Another run is at work"):
                run(spec)

    trained, lines = run(spec, train_it_too)
    assert [line["step"] for line in lines][:2] == ["begin", "epoch"]
    assert run(spec)[0].steps == trained.steps


def test_a_finished_run_is_not_trained_again(undisturbed):
    spec, trained, _ = undisturbed
    again, lines = run(spec)
    assert [line["step"] for line in lines] == ["resume", "transitions", "item_values", "export"]
    assert (again.steps, again.rows) == (trained.steps, trained.rows)


def test_a_run_goes_on_where_it_was_in_a_warehouse_that_has_another_name_since(tables, tmp_path, undisturbed):
    spec, trained, _ = undisturbed
    shutil.copytree(tables, tmp_path / "tables")
    shutil.copytree(spec.folder, tmp_path / "run")
    moved = training_spec(tmp_path / "tables", tmp_path / "run")
    again, lines = run(moved)
    assert [line["step"] for line in lines] == ["resume", "transitions", "item_values"]  # nothing is left to be trained
    assert again.steps == trained.steps


def test_training_ends_when_validation_has_not_improved_for_patience_epochs(tables, tmp_path):
    spec = training_spec(tables, tmp_path, epochs=9, patience=2, learning_rate=1e-12, average=0.0, lanes=1)
    trained, lines = run(spec)
    assert len([line for line in lines if line["step"] == "epoch"]) == 3  # the first is the best; two more do not beat it
    assert trained.steps == 4 + 5  # the first epoch's: 50 and 70 rows by 16


def test_a_metric_that_tells_no_weights_apart_ends_no_training_and_the_newest_weights_are_kept(tmp_path):
    repeats = sequence_rows(9, 8, split="valid")
    for row in repeats:  # whoever has seen the target is not asked about it
        row["targets"] = [row["item_ids"][0]] * 8
    write_tables(tmp_path, [*sequence_rows(20, 8), *repeats])
    trained, lines = run(training_spec(tmp_path, tmp_path / "run", epochs=4, patience=1))
    assert [line["valid_ndcg@10"] for line in lines if line["step"] == "epoch"] == [0.0] * 4
    assert trained.steps == 4 * 2  # 20 rows by 16
    assert trained.metrics["valid_ndcg@10"] == 0
    assert [line["step"] for line in lines].count("not_judged") == 4


def test_a_run_whose_loss_is_no_number_any_more_ends_with_what_to_change(tables, tmp_path):
    spec = training_spec(tables, tmp_path, epochs=3, learning_rate=1e30, warmup_steps=0, lanes=1)
    with pytest.raises(DivergedError, match=r"by step \d+: training has diverged. Lower training.learning_rate=1e\+30"):
        run(spec)
    assert tf.train.latest_checkpoint(spec.folder) is None  # nothing that a rerun would go on from


def test_a_run_whose_last_step_makes_weights_that_are_no_numbers_ends_with_what_to_change(tmp_path):
    write_tables(tmp_path, [*sequence_rows(1, 4), *sequence_rows(2, 4, split="valid")])
    spec = training_spec(tmp_path, tmp_path / "run", epochs=1, learning_rate=1e39, warmup_steps=0, lanes=1)
    with pytest.raises(DivergedError, match=r"weights must be numbers. Some are not by step 1: training has diverged"):
        run(spec)
    assert tf.train.latest_checkpoint(spec.folder) is None


def test_more_workers_than_lanes_are_refused(tables, tmp_path):
    spec, two = training_spec(tables, tmp_path, lanes=1), SimpleNamespace(workers=2)
    with pytest.raises(LanesError, match=r"training.lanes must be a multiple of the workers in TF_CONFIG. Received 1 and 2"):
        train(spec, two, None, None, None)


def test_workers_wait_for_the_chief_as_long_as_it_is_at_work_and_leave_with_it():
    chief, beats = iter([1.0, 1.0, 0.0]), list[str]()
    cluster = SimpleNamespace(sum=lambda mine: mine + next(chief))
    TrainingRun.leave_together(SimpleNamespace(_cluster=cluster, _watchdog=SimpleNamespace(beat=beats.append)))
    assert beats == ["wait for the chief"] * 2
    assert next(chief, None) is None


def test_a_run_in_mixed_precision_learns_and_exports_float32(tables, tmp_path):
    spec = training_spec(tables, tmp_path / "run", precision="mixed_bfloat16").model_copy(
        update={"export": f"{tmp_path}/export"}
    )
    trained, _ = run(spec)
    assert trained.metrics["valid_ndcg@10"] > CHANCE + 0.1
    vectors = Exported.load(spec.export).item_vectors(read_item_content(str(tables / "item_content"), 0, SIZES))
    assert vectors.dtype == np.float32 and not np.array_equal(vectors, tf.cast(tf.cast(vectors, tf.bfloat16), tf.float32))


def test_fewer_rows_than_lanes_and_no_validation_rows_train_all_the_same(tmp_path):
    write_tables(tmp_path, sequence_rows(1, 4))
    trained, _ = run(training_spec(tmp_path, tmp_path / "run", lanes=8, epochs=2))
    assert trained.rows == 1
    assert trained.steps == 2
    assert np.isfinite(trained.metrics["loss"])
    assert "valid_ndcg@10" not in trained.metrics


def test_a_table_without_training_rows_is_refused(tmp_path):
    write_tables(tmp_path, sequence_rows(3, 4, split="valid"))
    with pytest.raises(
        StreamError, match=r"sequences: version 0 has no training rows \(split = 'train'\). Check sequences.split"
    ):
        run(training_spec(tmp_path, tmp_path / "run"))


def test_a_checkpoint_of_another_vocabulary_is_refused_with_what_differs(tmp_path, undisturbed):
    spec = undisturbed[0]
    write_tables(tmp_path, sequence_rows(3, 4), items=ITEMS + 1)
    sizes = SIZES.__class__(**{**vars(SIZES), "items": ITEMS + 1})
    other = training_spec(tmp_path, Path(spec.folder)).model_copy(update={"sizes": sizes})
    with pytest.raises(CheckpointError, match=rf"is of another run: .*sizes.items={ITEMS}, here {ITEMS + 1}"):
        run(other)


def test_item_content_of_another_vocabulary_is_refused(tmp_path):
    write_tables(tmp_path, sequence_rows(3, 4), items=ITEMS + 1)
    with pytest.raises(
        StreamError, match=rf"from 0 to {ITEMS - 1}, as the model has. Received {ITEMS + 1} rows .*another vocabulary"
    ):
        run(training_spec(tmp_path, tmp_path / "run"))


def test_workers_and_checkpoint_steps_do_not_make_another_run_but_lanes_and_seed_do(tmp_path):
    spec = training_spec(tmp_path, tmp_path)
    same = training_spec(tmp_path, tmp_path, workers=2, checkpoint_steps=1, step_timeout_seconds=9)
    assert spec.identity() == same.identity()
    for other in (training_spec(tmp_path, tmp_path, lanes=4), training_spec(tmp_path, tmp_path, seed=1)):
        assert other.identity() != spec.identity()
