import datetime
import json
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

from features.schema import Table
from features.tables import ITEM_CONTENT, ITEM_TRANSITIONS, ITEM_VALUES, LABEL_VOCABULARY, MODELS, SEQUENCES, STATISTICS
from jobs import build_sequences, train_model
from jobs.runtime import ledger
from jobs.runtime.config import load
from jobs.runtime.warehouse import Warehouse
from models.scoring.exported import Exported
from models.training.launch import Ended
from models.training.spec import TrainingResult
from tests.delta_rows import write_rows
from tests.models.tables import ITEMS, item_content, item_transitions, item_values, sequence_rows

TIME = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
COLUMNS = {"user_id": "u", "item_id": "i", "event_time": "t"}


class Scenario:
    """A warehouse with what train_model reads."""

    def __init__(self, spark: SparkSession, root: Path, **training: Any) -> None:
        self.spark, self.root = spark, root
        settings = {
            "workers": 2, "epochs": 4, "batch_size": 16, "warmup_steps": 2, "checkpoint_steps": 3,
            "learning_rate": 0.01, "average": 0.9,
        }  # fmt: skip
        scenario = {
            "warehouse": str(root / "warehouse"),
            "source": {"events": {"path": "e.csv", "format": "csv", "columns": COLUMNS}},
            "sequences": {"max_length": 8, "min_length": 4, "max_categories": 2},
            "model": {"dim": 16},
            "training": settings | training,
        }
        root.mkdir(exist_ok=True)
        self.conf = root / "scenario.yaml"
        self.conf.write_text(yaml.safe_dump(scenario))

    def path(self, name: str) -> Path:
        return self.root / "warehouse" / name

    def write(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        write_rows(self.path(table.name), table, rows)

    def write_sequences(self, rows: Sequence[dict[str, Any]]) -> None:
        events = {"user_id": "u", "user_index": 1, "events": 2, "last_time": TIME, "target_time": TIME}
        self.write(SEQUENCES, [row | events for row in rows])

    def with_tables(self, rows: Sequence[dict[str, Any]], items: int = ITEMS) -> "Scenario":
        self.write_sequences(rows)
        self.write(ITEM_CONTENT, item_content(items).to_pylist())
        labels = [("event_type", "view", 2), ("categories", "a", 2), ("categories", "b", 3)]
        labels += [("user_content", "segment=DE", 2), ("user_content", "segment=FR", 3)]
        named = {"item_id": "i", "next_item_id": "j", "events": 1}
        self.write(ITEM_TRANSITIONS, [pair | named for pair in item_transitions(items).to_pylist()])
        self.write(ITEM_VALUES, [_named(row) for row in item_values(items).to_pylist()])
        self.write(STATISTICS, [])
        self.write(LABEL_VOCABULARY, [dict(zip(("column", "label", "index"), label, strict=True)) for label in labels])
        return self

    def train(self, *arguments: str) -> int:
        return train_model.main(["--config", str(self.conf), *arguments])

    def models(self) -> list[dict[str, Any]]:
        return [row.asDict() for row in self.spark.read.format("delta").load(str(self.path(MODELS.name))).collect()]


def _named(row: dict[str, Any]) -> dict[str, Any]:
    """A row of item_values with what training does not read."""
    neighbours = [{"item_id": "i", "users": 1, **neighbour} for neighbour in row["neighbours"]]
    return row | {"item_id": f"i{row['index']}", "values": 2, "neighbours": neighbours}


def errors(text: str) -> str:
    lines = (json.loads(line) for line in text.splitlines() if line.startswith("{"))
    return " ".join(str(line["error"]) for line in lines if "error" in line)


def worker_processes(folder: Path) -> list[int]:
    """Process ids of the running workers whose spec lies in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode()
        except OSError:
            continue
        if "models.training.worker" in command and str(folder) in command:
            found.append(int(process.name))
    return found


def kill_a_worker_once_there_is_a_checkpoint(folder: Path) -> None:
    while not list(folder.glob("_training/*/step-*.index")):
        time.sleep(0.02)
    os.kill(max(worker_processes(folder)), signal.SIGKILL)


@pytest.fixture
def idle(monkeypatch):
    """No worker is started from now on: training ends at once, and well."""

    def begin() -> None:
        result = TrainingResult(steps=1, rows=3, device="an abacus", metrics={})
        monkeypatch.setattr("jobs.training.workers.run_workers", lambda *_: [Ended(0, "", result)])

    return begin


def test_a_killed_worker_ends_the_job_with_10_and_the_same_command_trains_on(spark, tmp_path, capfd, idle):
    rows = [*sequence_rows(40, 4), *sequence_rows(50, 8), *sequence_rows(9, 8, split="valid")]
    scenario = Scenario(spark, tmp_path).with_tables(rows)
    killer = threading.Thread(target=kill_a_worker_once_there_is_a_checkpoint, args=(scenario.path(""),), daemon=True)
    killer.start()
    assert scenario.train() == 10
    killer.join()
    assert worker_processes(scenario.path("")) == []
    log = capfd.readouterr().err
    assert "was ended by SIGKILL. The same command goes on from the last checkpoint" in errors(log)

    assert scenario.train() == 0
    (model,) = scenario.models()
    assert len(list(scenario.path("_training").iterdir())) == 1  # the same model, so the same checkpoints
    assert model["rows"] == 90
    assert model["sizes"]["items"] == ITEMS
    tables = ("sequences", "item_content", "item_transitions", "item_values", "label_vocabulary", "statistics")
    assert model["inputs"] == dict.fromkeys(tables, 0)
    assert 0 < model["metrics"]["valid_ndcg@10"] <= 1
    card = Exported.load(model["export_path"]).card
    assert (card["model_id"], card["steps"]) == (model["model_id"], model["steps"])

    assert scenario.train() == 0  # up to date
    idle()
    # Finished: the same row stays; the lanes decide which model it is, not the workers.
    assert scenario.train("--force", "--set", "training.workers=1", "--set", "training.lanes=2") == 0
    assert scenario.models() == [model]


def test_going_back_to_an_earlier_configuration_makes_its_model_the_newest_again(spark, tmp_path, idle):
    idle()
    scenario = Scenario(spark, tmp_path).with_tables(sequence_rows(3, 4))

    def newest(*settings: str) -> str:
        assert scenario.train(*settings) == 0
        return max(scenario.models(), key=lambda row: row["created_at"])["model_id"]

    first, other = newest(), newest("--set", "training.seed=1")
    assert other != first
    assert newest() == first
    assert len(scenario.models()) == 2


def test_a_model_is_trained_again_to_the_same_weights_from_what_its_row_pins(spark, tmp_path, capfd):
    rows = [*sequence_rows(30, 4), *sequence_rows(9, 8, split="valid")]
    trained = Scenario(spark, tmp_path / "before", workers=1, epochs=2).with_tables(rows)
    assert trained.train() == 0
    (model,) = trained.models()
    assert model["packages"]["threads"] == str(len(os.sched_getaffinity(0)))
    # A replay must not need the name that the warehouse had.
    trained.root.rename(tmp_path / "after")
    scenario = Scenario(spark, tmp_path / "after", workers=1, epochs=2)
    models = scenario.models()
    pinned = list(scenario.path("sequences").rglob("*.parquet"))
    scenario.with_tables(sequence_rows(12, 8))  # version 1 of everything: other rows, which a replay must not see
    capfd.readouterr()

    assert scenario.train("--replay", model["model_id"], "--set", "training.seed=5", "--set", "model.dim=32") == 0
    assert f"{model['model_id']}: " in capfd.readouterr().out
    assert scenario.models() == models
    assert [left.name for left in scenario.path("_replays").iterdir()] == [f"{model['model_id']}.lock"]

    config = json.loads(model["config"])
    assert config["training"]["loss"]["softmax"] == "full"  # as it was chosen
    config["training"]["seed"] = 1
    elsewhere = {"config": json.dumps(config), "packages": model["packages"] | {"device": "an abacus", "threads": "3"}}
    scenario.write(MODELS, [model | elsewhere])
    assert scenario.train("--replay", model["model_id"]) == 3
    told = errors(capfd.readouterr().err)
    assert "must have the same weights when it is trained again" in told
    assert json.loads(scenario.path(f"_replays/{model['model_id']}/spec.json").read_text())["threads"] == 3
    assert f"Since then the device went from an abacus to {model['packages']['device']}." in told

    pinned[0].unlink()  # as VACUUM does
    assert scenario.train("--replay", model["model_id"]) == 3
    assert "is gone: VACUUM has taken this version" in errors(capfd.readouterr().err)
    assert scenario.train("--replay", "nobody") == 4
    assert "holds no model nobody" in errors(capfd.readouterr().err)


def test_in_a_warehouse_that_has_another_name_since_nothing_is_trained_and_a_forced_run_names_the_path_of_today(
    spark, tmp_path, idle
):
    idle()
    before = Scenario(spark, tmp_path / "before").with_tables(sequence_rows(3, 4))
    assert before.train() == 0
    (model,) = before.models()
    before.root.rename(tmp_path / "after")
    after = Scenario(spark, tmp_path / "after")
    assert (after.train(), after.models()) == (0, [model])  # up to date
    assert after.train("--force") == 0
    (again,) = after.models()
    export = str(after.path(f"_models/{model['model_id']}"))
    assert again == model | {"export_path": export, "created_at": again["created_at"]}


def test_a_table_that_cannot_be_trained_on_ends_the_job_with_3_by_name(spark, tmp_path, capfd):
    scenario = Scenario(spark, tmp_path)
    scenario.write_sequences(sequence_rows(3, 4, split="valid"))
    assert scenario.train() == 3
    assert "has no training rows (split = 'train')" in errors(capfd.readouterr().err)


def test_sequences_of_another_vocabulary_than_item_content_end_the_job_with_3(spark, tmp_path, capfd):
    scenario = Scenario(spark, tmp_path).with_tables(sequence_rows(20, 4), items=5)
    assert scenario.train() == 3
    assert f"an item index of theirs is {ITEMS - 1}, but item_content ends at 4" in errors(capfd.readouterr().err)


def test_sequences_that_are_longer_than_declared_end_the_job_with_3(spark, tmp_path, capfd):
    scenario = Scenario(spark, tmp_path).with_tables(sequence_rows(3, 8))
    assert scenario.train("--set", "sequences.max_length=4") == 3
    assert "sequences: must be of at most sequences.max_length=4 events. Received 8" in errors(capfd.readouterr().err)


def _built(scenario: Scenario, exit_code: int = 0) -> None:
    """A run of build_sequences in the ledger that has left the tables as they are now."""
    job, warehouse = build_sequences.JOB, Warehouse(scenario.spark, str(scenario.path("")))
    declared = load(str(scenario.conf)).dump(*job.sections, without=job.ignored)
    at, recipe = datetime.datetime.now(datetime.UTC), ledger.recipe_of([job.name, declared], "anywhere")
    outputs = {name: version for name in job.writes if (version := warehouse.version(name)) is not None}
    run = ledger.RunRow(f"{at}", job.name, at, "{}", "hash", recipe=recipe, outputs=outputs, exit_code=exit_code)
    ledger.record(warehouse, run)


def test_what_trains_must_be_as_one_good_run_of_build_sequences_left_it_by_the_declarations_of_today(
    spark, tmp_path, idle, capfd
):
    idle()
    scenario = Scenario(spark, tmp_path).with_tables(sequence_rows(3, 4))
    _built(scenario)
    assert scenario.train() == 0
    assert scenario.train("--set", "source.events.path=elsewhere.csv", "--force") == 0  # what is read of it are the tables
    swapped = "features.user=[{recency: events, days: [3]}, {count: events, days: [3]}]"
    assert scenario.train("--set", swapped) == 3
    assert "with what the configuration declares. Received other values in features or content" in errors(
        capfd.readouterr().err
    )

    number = {"owner": "events", "column": "value", "group": "", "statistic": "mean", "number": 1.0, "label": None,
              "fitted_until": TIME}  # fmt: skip
    scenario.write(STATISTICS, [number])  # another job's
    assert scenario.train("--force") == 0
    scenario.write(STATISTICS, [number | {"owner": "user_features"}])  # what a killed run of build_sequences leaves
    assert scenario.train("--force") == 3
    assert "Received other versions than it left of statistics. Run build_sequences." in errors(capfd.readouterr().err)

    _built(scenario, exit_code=5)
    assert scenario.train("--force") == 3
    assert "Received a run that ended with 5. Run build_sequences." in errors(capfd.readouterr().err)


def test_a_missing_table_ends_the_job_with_4(spark, tmp_path, capfd):
    assert Scenario(spark, tmp_path).train() == 4
    assert "sequences: there is no table" in errors(capfd.readouterr().err)


def test_more_workers_than_task_slots_end_the_job_with_2(spark, tmp_path, capfd):
    scenario = Scenario(spark, tmp_path, workers=4).with_tables(sequence_rows(3, 4))
    assert scenario.train() == 2
    assert "training.workers must not exceed the task slots that are free at the same time. Received workers=4" in errors(
        capfd.readouterr().err
    )


def test_the_model_id_stands_for_what_decides_the_weights_and_not_for_how_they_are_computed(spark, tmp_path):
    scenario = Scenario(spark, tmp_path, lanes=4).with_tables(sequence_rows(3, 4))

    def model_id(*settings: str) -> str:
        seen: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "jobs.training.workers.run_workers", lambda *arguments: seen.append(Path(arguments[1]).parent.name) or []
            )
            scenario.train("--force", *(part for setting in settings for part in ("--set", setting)))
        return seen[0]

    first = model_id()
    assert model_id("training.workers=1", "training.checkpoint_steps=9") == first
    assert len({first, model_id("training.seed=1"), model_id("model.dim=32"), model_id("training.lanes=2")}) == 4
    # What is left open is decided before: of a small log 30 epochs, and a softmax over all items.
    assert model_id("training.epochs=null") == model_id("training.epochs=30", "training.loss.softmax=full")


def test_the_targets_of_training_are_the_positions_that_count(spark):
    rows = [("train", [1.0, 0.0, 1.0]), ("train", [0.0]), ("valid", [1.0]), ("train", [0.5])]
    sequences = spark.createDataFrame(rows, "split string, weights array<float>")
    assert train_model._targets(SimpleNamespace(read=lambda name: sequences)) == 3
    assert train_model._targets(SimpleNamespace(read=lambda name: sequences.where("split = 'test'"))) == 0
