from __future__ import annotations

import datetime
import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.source.config import EventSource
from features.source.events import parse_events
from jobs.clean_events import main
from jobs.cleaning.first_rows import FIRST_ROWS
from jobs.runtime.sources import read_raw

ROOT = Path(__file__).parents[2]
TABLES = ("events", "items", "users", "statistics", "quarantine")
DATA = Path(os.environ.get("LAKEFORMER_DATA", ROOT.parent / "shared" / "data"))
NEW_YEAR = datetime.date(2024, 1, 1)


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("raw")
    size = ["--users", "40", "--items", "80", "--days", "21"]
    subprocess.run([sys.executable, str(ROOT / "scripts/make_sample_data.py"), "--out", str(out), *size], check=True)
    return out


@pytest.fixture(scope="module")
def truth(raw) -> dict:
    return json.loads((raw / "truth.json").read_text())


@pytest.fixture(scope="module")
def sample(spark, raw, tmp_path_factory):
    """Runs the job on the sample, once for the module; returns how to run it again and how to read its tables."""
    warehouse = tmp_path_factory.mktemp("warehouse")

    def run(*more: str) -> int:
        os.environ |= {"LAKEFORMER_SAMPLE": str(raw), "LAKEFORMER_WAREHOUSE": str(warehouse)}
        return main(["--config", str(ROOT / "conf/sample.yaml"), *more])

    def read(table: str) -> DataFrame:
        return spark.read.format("delta").load(f"{warehouse}/{table}")

    before = dict(os.environ)
    assert run("--set", "clean.max_refused=0.5") == 0
    yield run, read
    os.environ.clear()
    os.environ.update(before)


def contents(read) -> dict[str, list]:
    """Every row of every table as JSON, without the run's id, in an order of its own."""
    return {t: sorted(r[0] for r in read(t).drop("run_id").select(F.to_json(F.struct("*"))).collect()) for t in TABLES}


def counts(read, job: str = "clean_events") -> dict[str, int]:
    return read("runs").where(F.col("job") == job).orderBy(F.desc("started_at")).head().counts


def test_quarantine_counts_equal_the_truth_reason_by_reason(sample, truth):
    _, read = sample
    rows = (
        read("quarantine").select("source", F.explode("reasons").alias("reason")).groupBy("source", "reason").count().collect()
    )
    found: dict[str, dict[str, int]] = {}
    for source, reason, count in rows:
        found.setdefault(source, {})[reason] = count
    assert found == truth["refused"]
    assert read("quarantine").where(F.size("reasons") != 1).count() == 0


def test_tables_and_ledger_have_as_many_rows_as_the_truth_says(sample, truth):
    _, read = sample
    assert {t: read(t).count() for t in ("events", "items", "users")} == truth["rows_out"]
    found = counts(read)
    assert {k.removeprefix("events_duplicates_"): n for k, n in found.items() if "duplicates" in k} == truth["duplicates"]
    assert {s: found[f"{s}_rows"] for s in truth["rows_in"]} == truth["rows_in"]
    assert {t: {c: found[f"{t}_imputed_{c}"] for c in columns} for t, columns in truth["imputed"].items()} == truth["imputed"]
    run = read("runs").where("exit_code = 0").head()
    assert run.rows_in == run.rows_out + run.rows_duplicate + run.rows_refused == truth["rows_in"]["events"]


def test_events_keep_their_keys_order_and_partition(sample):
    _, read = sample
    events = read("events")
    assert events.groupBy("event_id").count().where("count > 1").count() == 0
    assert events.groupBy("user_id", "event_time", "tie_order").count().where("count > 1").count() == 0
    assert events.where("date != to_date(event_time) OR month != date_format(date, 'yyyy-MM')").count() == 0
    assert {r.device for r in events.select(F.col("context.device").alias("device")).distinct().collect()} == {
        "web",
        "app",
        "tablet",
    }


def test_a_refused_row_can_be_found_in_its_file(sample, raw):
    _, read = sample
    row = read("quarantine").where("reasons[0] = 'line_broken' AND source = 'events' AND NOT file LIKE '%gz'").head()
    lines = (raw / "events" / row.file).read_text(errors="replace").splitlines()[1:]
    assert lines[row.position] == row.raw


def test_a_second_run_is_skipped_and_a_forced_one_changes_nothing(sample):
    run, read = sample
    before, runs = contents(read), read("runs").count()
    assert run("--set", "clean.max_refused=0.5") == 0
    assert read("runs").count() == runs
    assert run("--set", "clean.max_refused=0.5", "--force") == 0
    assert read("runs").count() == runs + 1
    assert contents(read) == before


def test_a_run_with_dates_replaces_those_dates_only(sample):
    run, read = sample
    before = contents(read)
    dates = ("--start", "2024-01-14", "--end", "2024-01-16")
    assert run("--set", "clean.max_refused=0.5", *dates) == 0
    assert contents(read) == before
    assert run("--set", "clean.max_refused=0.5", "--set", "clean.duplicates.near_seconds=0", *dates) == 0
    changed = {json.loads(r)["date"] for r in set(contents(read)["events"]) ^ set(before["events"])}
    assert changed == {f"2024-01-{day}" for day in (14, 16)}  # the near duplicates lie on the 3rd, 14th, 16th, 19th and 20th
    assert run("--set", "clean.max_refused=0.5", "--force") == 0


# Small logs of one kind of trouble each


class Log:
    """A CSV log and the configuration that reads it."""

    def __init__(self, folder: Path, lines: list[str], clean: str = "{}") -> None:
        (folder / "log.csv").write_text("\n".join(["u,i,t,v", *lines]) + "\n")
        columns = "{user_id: u, item_id: i, event_time: t, value: v}"
        (folder / "conf.yaml").write_text(
            f"warehouse: {folder}/warehouse\n"
            f"source: {{events: {{path: '{folder}/log.csv', columns: {columns}, time: {{unit: text}}}}}}\n"
            f"clean: {clean}\n"
        )
        self.folder = folder

    def run(self, *more: str) -> int:
        return main(["--config", str(self.folder / "conf.yaml"), *more])


GOOD = ["a,x,2024-01-01 10:00:00,1", "a,y,2024-01-02 10:00:00,2", "b,x,2024-01-02 10:00:00,3"]


def test_too_many_refused_rows_end_with_3_after_they_went_to_quarantine(spark, tmp_path, capsys):
    log = Log(tmp_path, [*GOOD, ",x,2024-01-01 10:00:00,1"])
    assert log.run() == 3
    message = capsys.readouterr().err
    assert "at most 20.0% of the rows may be refused (clean.max_refused). Refused 1 of 4: {'user_id_missing': 1}" in message
    assert 'user_id_missing: such as {"i":"x","t":"2024-01-01 10:00:00","v":"1"}.' in message
    [row] = spark.read.format("delta").load(f"{tmp_path}/warehouse/quarantine").collect()
    assert (row.reasons, row.position, row.date) == (["user_id_missing"], 3, NEW_YEAR)
    assert json.loads(row.raw) == {"i": "x", "t": "2024-01-01 10:00:00", "v": "1"}
    assert not (tmp_path / "warehouse" / "events").exists()


def test_rows_that_where_leaves_out_are_no_rows_but_keep_their_places_in_the_file(spark, tmp_path, capsys):
    log = Log(tmp_path, [",x,2024-01-01 10:00:00,9", *GOOD, ",x,2024-01-01 10:00:00,1"], clean="{max_refused: 0.5}")
    assert log.run("--set", "source.events.where={v: [1, 2]}") == 0
    [row] = spark.read.format("delta").load(f"{tmp_path}/warehouse/quarantine").collect()
    assert (row.reasons, row.position) == (["user_id_missing"], 4)
    run = spark.read.format("delta").load(f"{tmp_path}/warehouse/runs").head()
    assert (run.rows_in, run.rows_out, run.rows_refused) == (3, 2, 1)
    assert log.run("--set", "source.events.where={v: 7}") == 4
    assert "log.csv where {'v': ('7',)}." in capsys.readouterr().err


def test_a_log_of_refused_rows_only_ends_with_3(tmp_path, capsys):
    clean = "{max_refused: 1, checks: [{column: value, between: [4, 5]}]}"
    assert Log(tmp_path, GOOD, clean).run() == 3
    assert "events: every row was refused. Refused 3 of 3" in capsys.readouterr().err


def test_a_source_whose_first_rows_are_all_written_otherwise_ends_with_3_before_anything_is_written(tmp_path, capsys):
    log = Log(tmp_path, ["a,x,1714564800000,1", "b,y,1714564800001,two"], clean="{max_refused: 1}")
    assert log.run("--dry-run", "--set", "source.events.time.unit=s") == 3
    assert log.run("--set", "source.events.time.unit=s") == 3
    dry, message = [line for line in capsys.readouterr().err.splitlines() if line.startswith("clean_events: ")]
    assert dry == message
    assert "The first 2:" in message and "{'event_time_malformed': 2, 'value_malformed': 1}" in message
    assert 'value_malformed: such as {"u":"b","i":"y","t":"1714564800001","v":"two"}. time.unit: ms?' in message
    assert not (tmp_path / "warehouse" / "quarantine").exists()
    assert log.run("--date", "2024-05-01") == 4  # they may be of other days, as there is no {date} in the path


def test_rows_that_the_scenario_leaves_out_do_not_end_a_run_where_they_stand_first(tmp_path):
    early = [f"c,x,2020-01-01 10:00:00,{n}" for n in range(FIRST_ROWS)]
    assert Log(tmp_path, [*early, *GOOD], clean="{max_refused: 1, earliest: 2024-01-01}").run("--dry-run") == 0


def test_first_rows_that_are_bad_together_do_not_end_a_run_of_which_others_are_good(tmp_path):
    bad = [f",x,2024-01-01 10:00:00,{n}" for n in range(FIRST_ROWS)]
    assert Log(tmp_path, [*bad, *GOOD], clean="{max_refused: 1}").run("--dry-run") == 0


def test_a_log_from_before_1990_is_looked_at_by_its_declared_first_day(tmp_path):
    log = Log(tmp_path, ["a,x,1975-01-01 10:00:00,1", "b,y,1976-01-01 10:00:00,2"], clean="{earliest: 1970-01-01}")
    assert log.run("--dry-run") == 0
    assert log.run("--dry-run", "--set", "clean.earliest=1990-01-01") == 3


def test_items_may_stand_in_the_log_itself_where_the_last_row_of_each_is_declared_to_stay(spark, tmp_path, capsys):
    log = Log(tmp_path, [*GOOD, "c,x,2024-01-03 10:00:00,4", "c,,2024-01-03 10:00:00,5"], clean="{max_refused: 0.3}")
    items = f"path: {tmp_path}/log.csv, columns: {{item_id: i, price: v}}"
    assert log.run("--set", f"source.items={{{items}}}") == 3
    assert "Against item_id_duplicate: source.items.repeats: last." in capsys.readouterr().err
    assert log.run("--set", f"source.items={{{items}, repeats: last}}") == 0

    def read(table):
        return spark.read.format("delta").load(f"{tmp_path}/warehouse/{table}")

    assert [(r.item_id, r.price) for r in read("items").orderBy("item_id").collect()] == [("x", 4.0), ("y", 2.0)]
    [refused] = read("quarantine").where("source = 'items'").collect()
    assert json.loads(refused.raw) == {"u": "c", "t": "2024-01-03 10:00:00", "v": "5"}
    found = read("runs").where("exit_code = 0").head().counts
    assert [found[f"items_{k}"] for k in ("rows", "duplicates_superseded", "refused_item_id_missing")] == [5, 2, 1]


def test_a_check_that_must_not_fail_ends_with_3(tmp_path, capsys):
    clean = "{max_refused: 1, checks: [{column: value, between: [0, 2], otherwise: fail}]}"
    assert Log(tmp_path, GOOD, clean).run() == 3
    assert "no row may break value_out_of_range (clean.checks, otherwise: fail)" in capsys.readouterr().err


def test_a_rule_about_a_source_that_is_not_there_ends_with_2(tmp_path, capsys):
    clean = "{checks: [{column: item_id, refers_to: items}], impute: [{column: age}]}"
    assert Log(tmp_path, GOOD, clean).run() == 2
    assert "Received no source for: clean.checks refers_to items, clean.impute age." in capsys.readouterr().err


def test_events_that_differ_in_a_number_that_is_clipped_have_ids_of_their_own(spark, tmp_path):
    keys = "duplicates: {keys: [user_id, item_id, event_time, value]}"
    clip = "outliers: [{column: value, rule: quantile, quantiles: [0, 0.5], then: clip}]"
    lines = [f"b,y,2024-01-0{n} 10:00:00,{n % 2}" for n in range(1, 7)]  # the two newest are not fitted on
    lines += ["a,x,2024-01-01 10:00:00,5", "a,x,2024-01-01 10:00:00,6"]
    assert Log(tmp_path, lines, f"{{{keys}, {clip}}}").run() == 0
    events = spark.read.format("delta").load(f"{tmp_path}/warehouse/events").where("user_id = 'a'").collect()
    assert [r.value for r in events] == [0.5, 0.5]
    assert len({r.event_id for r in events}) == 2


def test_a_date_without_events_ends_with_4(tmp_path, capsys):
    assert Log(tmp_path, GOOD).run("--date", "2024-03-01") == 4
    message = "events: there must be rows from 2024-03-01 to 2024-03-01. Found 3 rows of other or no dates in"
    assert message in capsys.readouterr().err


def test_a_file_with_nothing_but_a_header_and_no_file_end_with_4(tmp_path, capsys):
    log = Log(tmp_path, [])
    assert log.run() == 4
    assert "events: there must be rows. Found nothing in" in capsys.readouterr().err
    (tmp_path / "log.csv").unlink()
    assert log.run() == 4
    assert f"{tmp_path}/log.csv: there must be at least one file" in capsys.readouterr().err


@pytest.mark.parametrize("spoil", [lambda whole: b"u,i,t,v", lambda whole: whole[: len(whole) // 2]])
def test_a_compressed_file_that_cannot_be_read_is_named_and_ends_with_3(tmp_path, capsys, spoil):
    log = Log(tmp_path, [])
    (tmp_path / "conf.yaml").write_text((tmp_path / "conf.yaml").read_text().replace("log.csv", "log.csv.gz"))
    rng = random.Random(0)
    lines = [f"{rng.random()},x,2024-01-01 10:00:00,1" for _ in range(20_000)]  # more than is decompressed at once
    (tmp_path / "log.csv.gz").write_bytes(spoil(gzip.compress("\n".join(["u,i,t,v", *lines]).encode())))
    assert log.run() == 3
    assert f"{tmp_path}/log.csv.gz: must be a whole file of its format." in capsys.readouterr().err


def test_days_can_be_cleaned_one_by_one_and_entities_without_source_are_empty_tables(spark, tmp_path):
    log = Log(tmp_path, [*GOOD, "c,x,soon,1"], clean="{max_refused: 0.5}")
    for day in ("2024-01-01", "2024-01-02", "2024-01-01"):
        assert log.run("--date", day, "--force") == 0
    warehouse = tmp_path / "warehouse"
    events = spark.read.format("delta").load(f"{warehouse}/events").orderBy("date", "user_id").collect()
    assert [(r.user_id, r.item_id, r.value) for r in events] == [("a", "x", 1.0), ("a", "y", 2.0), ("b", "x", 3.0)]
    assert spark.read.format("delta").load(f"{warehouse}/quarantine").count() == 1  # found by each run, kept once
    for table in ("items", "users", "statistics"):
        assert spark.read.format("delta").load(f"{warehouse}/{table}").count() == 0


def test_days_are_the_same_in_whichever_runs_they_are_cleaned_though_files_hold_events_of_other_days(spark, tmp_path):
    log = Log(tmp_path, [], clean="{max_refused: 0.5}")
    conf = (tmp_path / "conf.yaml").read_text().replace("log.csv", "log-{date}.csv").replace("{user", "{event_id: e, user")
    (tmp_path / "conf.yaml").write_text(conf.replace("time: {", "late_days: 1, time: {"))
    files = {  # cut at midnight in Los Angeles: 08:00 UTC
        "2024-01-01": ["a,x,2024-01-01 20:00:00,1,e1", "b,x,2024-01-02 03:00:00,1,e2"],
        "2024-01-02": [
            "a,x,2024-01-02 20:00:00,1,e3",
            "b,x,2024-01-02 23:59:58,1,e4",
            "b,y,2024-01-03 03:00:00,1,e5",
            "c,x,2024-01-01 23:00:00,1,e6",  # late
            "d,x,2024-01-01 23:00:00,two,e7",
            "e,x,2023-12-31 23:00:00,1,e8",  # later than an event may be
        ],
        "2024-01-03": ["b,z,2024-01-03 00:00:03,1,e4", "a,x,2024-01-03 20:00:00,1,e9", "b,x,2024-01-04 03:00:00,1,e10"],
        "2024-01-04": ["a,x,2024-01-04 20:00:00,1,e11"],
    }
    for day, lines in files.items():
        (tmp_path / f"log-{day}.csv").write_text("\n".join(["u,i,t,v,e", *lines]) + "\n")

    def read(table):
        return spark.read.format("delta").load(f"{tmp_path}/warehouse/{table}")

    def tables():
        rows = [read(table).drop("run_id").select(F.to_json(F.struct("*"))).collect() for table in ("events", "quarantine")]
        return [sorted(row[0] for row in table) for table in rows]

    def account():
        row = read("runs").orderBy(F.desc("started_at")).head()
        return tuple(row[f"rows_{of}"] for of in ("in", "out", "duplicate", "refused"))

    assert log.run("--start", "2024-01-01", "--end", "2024-01-03") == 0
    assert log.run("--start", "2024-01-02", "--end", "2024-01-04") == 0
    assert log.run("--date", "2024-01-01") == 0
    assert account() == (3, 2, 0, 1)  # e1 and the late e6; e7
    assert log.run("--date", "2024-01-03") == 0
    assert account() == (3, 2, 0, 1)  # e5 and e9; the second e4
    in_groups = tables()
    assert log.run() == 0
    assert account() == (12, 9, 0, 3)
    assert in_groups == tables()
    refused = {(json.loads(row.raw)["e"], str(row.date), *row.reasons) for row in read("quarantine").collect()}
    assert refused == {
        ("e7", "2024-01-01", "value_malformed"),
        ("e8", "2024-01-02", "outside_dates"),
        ("e4", "2024-01-03", "event_id_repeated"),
    }


def test_files_of_months_end_with_3_unless_late_days_says_so(tmp_path, capsys):
    log = Log(tmp_path, [])
    (tmp_path / "conf.yaml").write_text((tmp_path / "conf.yaml").read_text().replace("log.csv", "log-{date}.csv"))
    lines = [f"a,x,2024-01-{day:02} 10:00:00,1" for day in range(1, 31)]
    (tmp_path / "log-2024-01-01.csv").write_text("\n".join(["u,i,t,v", *lines]) + "\n")
    assert log.run() == 3
    assert "Refused 27 of 30: {'outside_dates': 27}" in capsys.readouterr().err
    assert log.run("--set", "source.events.late_days=31") == 0


@pytest.mark.parametrize("format_", ["csv", "json", "parquet", "delta"])
def test_the_same_rows_in_any_format_are_the_same_events(spark, tmp_path, format_):
    rows = [("u1", "i1", "buy", 2.5, "2024-05-01 12:00:00"), ("u2", "i2", "view", None, "2024-05-01 12:00:01")]
    frame = spark.createDataFrame(rows, "u string, i string, a string, v double, t string").coalesce(1)
    if format_ in ("parquet", "delta"):
        frame = frame.withColumn("t", F.col("t").cast("timestamp"))
    writer = frame.write.format(format_)
    (writer.option("header", True) if format_ == "csv" else writer).save(str(tmp_path / "log"))
    columns = {"user_id": "u", "item_id": "i", "event_type": "a", "value": "v", "event_time": "t"}
    source = EventSource.model_validate(
        {"path": str(tmp_path / "log"), "format": format_, "columns": columns, "time": {"unit": "text"}}
    )
    parsed = parse_events(
        read_raw(spark, "events", source), source, datetime.date(1990, 1, 1), datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    )
    found = parsed.select(
        "user_id", "item_id", "event_type", "value", F.date_format("event_time", "yyyy-MM-dd HH:mm:ss"), "reasons"
    )
    assert [tuple(r) for r in found.orderBy("user_id").collect()] == [(*row, []) for row in rows]


# Real data


@pytest.mark.parametrize(
    ("name", "rows", "users", "items"), [("movielens-small", 100_836, 610, 9_742), ("movielens-100k", 100_000, 943, 1_682)]
)
def test_every_row_of_movielens_is_accounted_for(spark, tmp_path, monkeypatch, name, rows, users, items):
    if not (DATA / "movielens").exists():
        pytest.skip(f"no MovieLens under {DATA}")
    monkeypatch.setenv("LAKEFORMER_DATA", str(DATA))
    monkeypatch.setenv("LAKEFORMER_WAREHOUSE", str(tmp_path))
    assert main(["--config", str(ROOT / f"conf/{name}.yaml")]) == 0
    read = {t: spark.read.format("delta").load(f"{tmp_path}/{t}") for t in ("runs", "events", "items")}
    run = read["runs"].head()
    assert (run.rows_in, run.rows_out) == (rows, rows)
    assert not [k for k in run.counts if "refused" in k]
    assert read["events"].select("user_id").distinct().count() == users
    assert (read["items"].count(), read["items"].where("size(categories) = 0").count() < items / 50) == (items, True)
    titled = {r.title for r in read["items"].where("item_id = '1'").collect()}
    assert titled == {"Toy Story (1995)"}
