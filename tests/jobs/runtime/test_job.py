"""A job of two tables, run as every job is run."""

import datetime
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from features.errors import ContractError, LeakageError, NoInputError
from features.tables import ITEM_VOCABULARY, LABEL_VOCABULARY, RUNS, STATISTICS, USER_VOCABULARY
from jobs.runtime.errors import ConfigError, TransientError
from jobs.runtime.job import Job
from jobs.runtime.run import Run
from jobs.runtime.warehouse import Warehouse

Call = Callable[..., int]


def copy_items(run: Run) -> None:
    rows = run.read("item_vocabulary").withColumnRenamed("item_id", "user_id")
    run.count("copied", run.write("user_vocabulary", rows))
    run.account(rows_in=rows.count(), rows_out=rows.count())


@pytest.fixture
def warehouse(spark: SparkSession, tmp_path: Path) -> Warehouse:
    warehouse = Warehouse(spark, str(tmp_path / "warehouse"))
    warehouse.write(ITEM_VOCABULARY, spark.createDataFrame([("a", 2), ("b", 3)], ITEM_VOCABULARY.schema))
    return warehouse


@pytest.fixture
def call(warehouse: Warehouse, tmp_path: Path) -> Call:
    config = tmp_path / "scenario.yaml"
    config.write_text(
        f"warehouse: {warehouse.root}\nsource:\n  events: {{path: x, columns: {{user_id: u, item_id: i, event_time: t}}}}\n"
    )

    def run(*argv: str, build: Callable[[Run], None] = copy_items, shared: Mapping[str, str] | None = None) -> int:
        inputs, outputs = ("item_vocabulary", "label_vocabulary"), ("user_vocabulary",)
        job = Job("copy_items", build, reads=inputs, writes=outputs, sections=("clean",), shared=shared or {})
        return job.main(["--config", str(config), *argv])

    return run


def runs(warehouse: Warehouse) -> list[dict[str, object]]:
    return [row.asDict() for row in warehouse.read(RUNS).orderBy("started_at").collect()]


def test_a_run_leaves_its_rows_its_versions_and_its_counts_in_the_ledger(call: Call, warehouse: Warehouse) -> None:
    assert call("--run-id", "r1", "--set", "model.dim=32", "--force") == 0
    (row,) = runs(warehouse)
    assert json.loads(str(row["arguments"])) == {"start": None, "end": None, "set": ["model.dim=32"], "force": True}
    assert (row["run_id"], row["exit_code"], row["rows_in"], row["counts"]) == ("r1", 0, 2, {"copied": 2})
    assert row["inputs"] == {"item_vocabulary": warehouse.version("item_vocabulary")}
    assert row["outputs"] == {"user_vocabulary": warehouse.version("user_vocabulary")}


def test_the_same_run_again_writes_nothing_until_something_changes(call: Call, warehouse: Warehouse) -> None:
    version: Callable[[], int | None] = lambda: warehouse.version("user_vocabulary")  # noqa: E731
    call()
    first = version()
    assert (call(), version(), len(runs(warehouse))) == (0, first, 1)
    assert (call("--set", "model.dim=32"), version()) == (0, first)  # not a section of this job
    assert (call("--set", "clean.max_refused=0.5"), version()) == (0, first + 1)
    warehouse.write(ITEM_VOCABULARY, warehouse.read(ITEM_VOCABULARY))
    assert (call(), version()) == (0, first + 2)  # its input has changed
    warehouse.write(USER_VOCABULARY, warehouse.read(USER_VOCABULARY).limit(0))
    assert (call(), warehouse.read(USER_VOCABULARY).count()) == (0, 2)  # its output has been changed by someone else


def test_a_warehouse_that_was_moved_or_is_named_otherwise_is_gone_on_from_as_it_is(call: Call, warehouse: Warehouse) -> None:
    call()
    assert (call("--set", f"warehouse={warehouse.root}/"), len(runs(warehouse))) == (0, 1)
    moved = Warehouse(warehouse.spark, str(Path(warehouse.root).rename(f"{warehouse.root}-moved")))
    assert (call("--set", f"warehouse={moved.root}"), len(runs(moved))) == (0, 1)


def test_of_a_table_that_jobs_share_the_rows_of_the_job_itself_must_be_as_it_left_them(
    call: Call, warehouse: Warehouse, spark: SparkSession
) -> None:
    def written(owner: str, number: float, write: Callable[..., object]) -> None:
        write(spark.createDataFrame([(owner, "age", "", "mean", number, None, None)], STATISTICS.schema), f"owner = '{owner}'")

    def by_others(owner: str, number: float) -> None:
        written(owner, number, partial(warehouse.write, STATISTICS))

    def fit(run: Run) -> None:
        written("ours", 1.0, partial(run.write, "statistics"))

    job = {"build": fit, "shared": {"statistics": "owner = 'ours'"}}
    assert (call(**job), call(**job), len(runs(warehouse))) == (0, 0, 1)
    by_others("theirs", 2.0)
    assert (call(**job), len(runs(warehouse))) == (0, 1)
    by_others("ours", 3.0)  # as a run of another configuration that was then killed, of which the ledger knows nothing
    assert (call(**job), len(runs(warehouse))) == (0, 2)
    assert [row["number"] for row in warehouse.read(STATISTICS).where("owner = 'ours'").collect()] == [1.0]


def test_force_runs_again_and_leaves_the_same_rows(call: Call, warehouse: Warehouse) -> None:
    call()
    before = sorted(warehouse.read(USER_VOCABULARY).collect())
    assert call("--force") == 0
    assert sorted(warehouse.read(USER_VOCABULARY).collect()) == before
    assert len(runs(warehouse)) == 2


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    call: Call, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--dry-run", "--date", "2024-01-02") == 0
    plan = capsys.readouterr().out
    assert "copy_items: days 2024-01-02 to 2024-01-02" in plan
    assert f"reads  item_vocabulary version {warehouse.version('item_vocabulary')}" in plan
    assert "writes user_vocabulary, partitions by none, now absent" in plan
    assert warehouse.version("user_vocabulary") is None
    assert warehouse.version("runs") is None


def test_an_error_becomes_its_exit_code_in_the_ledger_and_on_stderr(
    call: Call, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = {
        ContractError("rows lost"): 3,
        NoInputError("nothing there"): 4,
        LeakageError("the future"): 5,
        TransientError("again"): 10,
        RuntimeError("a defect"): 1,
    }
    for error, code in codes.items():

        def fail(run: Run, error: Exception = error) -> None:
            raise error

        assert call(build=fail) == code  # not skipped, though the run before failed in the same way
        assert str(error) in capsys.readouterr().err
    assert [(row["exit_code"], row["error"]) for row in runs(warehouse)] == [(code, str(e)) for e, code in codes.items()]
    assert call() == 0  # a failed run is no reason to skip the next


def test_rows_that_do_not_add_up_end_the_run_with_3(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(build=lambda run: run.account(rows_in=10, rows_out=6, duplicates=2, refused=1)) == 3
    assert "rows in must equal rows out + duplicates + refused. Received 10 != 6 + 2 + 1." in capsys.readouterr().err


def test_every_line_of_the_log_is_json_with_run_and_job(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    call("--run-id", "r9")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {(line["run_id"], line["job"]) for line in lines} == {("r9", "copy_items")}
    assert [line["step"] for line in lines] == ["session", "start", "write", "account", "end"]


def test_a_run_reads_the_version_that_was_newest_when_it_began(call: Call, warehouse: Warehouse) -> None:
    def read_late(run: Run) -> None:
        warehouse.write(ITEM_VOCABULARY, warehouse.read(ITEM_VOCABULARY).limit(0))
        run.count("seen", run.read("item_vocabulary").count())

    assert call(build=read_late) == 0
    assert runs(warehouse)[0]["counts"] == {"seen": 2}


def test_a_table_that_is_made_after_a_run_began_is_not_there_for_it(call: Call, warehouse: Warehouse) -> None:
    there: list[tuple[bool, bool]] = []

    def look(run: Run) -> None:
        before = run.can_read("user_vocabulary")
        warehouse.create(LABEL_VOCABULARY)  # another run
        copy_items(run)
        there.append((before, run.can_read("user_vocabulary")))
        there.append((run.can_read("label_vocabulary"), run.exists("label_vocabulary")))

    assert call(build=look) == 0
    assert there == [(False, True), (False, True)]


def test_users_are_scored_on_the_day_after_the_last_day_of_the_run(call: Call) -> None:
    days: list[datetime.date] = []
    assert call("--date", "2024-02-29", build=lambda run: days.append(run.as_of())) == 0
    assert days == [datetime.date(2024, 3, 1)]


def test_an_input_that_is_not_there_ends_the_run_with_4(
    call: Call, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(build=lambda run: run.count("rows", run.read("sequences").count())) == 4
    assert "sequences: there is no table at" in capsys.readouterr().err


def test_a_missing_raw_file_ends_the_run_with_4_and_is_in_the_ledger(warehouse: Warehouse, tmp_path: Path) -> None:
    config = tmp_path / "scenario.yaml"
    config.write_text(
        f"warehouse: {warehouse.root}\nsource:\n  events: {{path: {tmp_path}/no.csv, "
        "columns: {user_id: u, item_id: i, event_time: t}}\n"
    )
    job = Job("read_raw", copy_items, reads_raw_files=True)
    assert job.main(["--config", str(config)]) == 4
    (row,) = runs(warehouse)
    assert (row["exit_code"], "no.csv: there must be at least one file" in str(row["error"])) == (4, True)


def test_a_warehouse_that_cannot_be_written_ends_with_2_also_where_there_is_no_input(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w").touch()
    config = tmp_path / "scenario.yaml"
    config.write_text(
        f"warehouse: {tmp_path}/w\nsource: {{events: {{path: {tmp_path}/no.csv, "
        "columns: {user_id: u, item_id: i, event_time: t}}}"
    )
    assert Job("read_raw", copy_items, reads_raw_files=True).main(["--config", str(config)]) == 2
    assert "warehouse: must be a folder that can be written" in capsys.readouterr().err


def test_a_run_that_fails_and_cannot_be_recorded_ends_with_its_own_code(
    call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(run: Run) -> None:
        raise ContractError("rows lost")

    def lost(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("jobs.runtime.ledger.record", lost)
    assert call(build=fail) == 3
    assert '"step": "not_recorded", "error": "the disk is full"' in capsys.readouterr().err
    assert call() == 1  # it did what it should, but nobody can tell that it did


def test_a_warehouse_on_an_unknown_file_system_ends_with_2(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "scenario.yaml"
    config.write_text("warehouse: nofs://x\nsource: {events: {path: x, columns: {user_id: u, item_id: i, event_time: t}}}")
    assert Job("idle", copy_items).main(["--config", str(config)]) == 2
    assert "warehouse: must be a path that Spark can use. Received 'nofs://x'" in capsys.readouterr().err


def test_what_a_job_refuses_of_the_configuration_ends_even_its_dry_run_with_2(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(run: Run) -> None:
        raise ConfigError(f"warehouse: not {run.warehouse.root}.")

    config = tmp_path / "scenario.yaml"
    config.write_text(
        f"warehouse: {tmp_path}/w\nsource: {{events: {{path: x, columns: {{user_id: u, item_id: i, event_time: t}}}}}}"
    )
    assert Job("refusing", copy_items, check=refuse).main(["--config", str(config), "--dry-run"]) == 2
    assert f"warehouse: not {tmp_path}/w." in capsys.readouterr().err
