#!/usr/bin/env python3
"""What bench_features.py runs in a process with Spark: scripts/bench_features_spark.py PART CONF."""

from __future__ import annotations

import datetime
import json
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from delta.tables import DeltaTable
from figures import figure
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from features.tables import all_tables
from jobs import build_features, clean_events
from jobs.runtime.config import load
from jobs.runtime.session import build_session
from jobs.runtime.warehouse import Warehouse, equals

LABELS = 1_000_000


def build(path: str) -> None:
    """Cleaning and features."""
    build_session("bench")
    for job in (clean_events, build_features):
        if job.main(["--config", path]) != 0:
            raise SystemExit(f"{job.JOB.name} failed")


def _timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _features(path: str, *more: str) -> float:
    def run() -> None:
        if build_features.main(["--config", path, *more]) != 0:
            raise SystemExit("build_features failed")

    return _timed(run)


def daily(path: str) -> None:
    """One more day of events after two years, beside building everything anew; the session has done either once before."""
    spark = build_session("bench")
    config = load(path, [])
    warehouse, tables = Warehouse(spark, config.warehouse), all_tables(config.features)
    whole = warehouse.read(tables["events"], warehouse.version("events"))
    last = whole.agg(F.max("date")).head()[0]  # type: ignore[index]
    day_before = last - datetime.timedelta(days=1)
    warehouse.write(tables["events"], whole.where(F.col("date") < F.lit(day_before)))
    _features(path, "--force")
    seconds = []
    for day in (day_before, last):
        warehouse.write(tables["events"], whole.where(F.col("date") == F.lit(day)), equals(date=day))
        seconds.append(_features(path))
    made = {name: _contents(warehouse, tables[name]) for name in build_features.JOB.writes if warehouse.exists(name)}
    anew = _features(path, "--force")
    for name, day_seconds in zip(("the first such day of the session", "a day more after two years"), seconds, strict=True):
        figure(f"seconds of {name}", day_seconds, "s", 10, "everything anew", anew)
    wrong = [name for name in made if made[name] != _contents(warehouse, tables[name])]
    figure("tables that a day more leaves unlike a full build", len(wrong), "tables", 0)


def _contents(warehouse: Warehouse, table) -> tuple[int, int]:  # type: ignore[no-untyped-def]
    """Number of rows and a hash of them all; floats to nine digits."""
    rows = warehouse.read(table)
    columns = [F.format_number(c, 9) if t == "double" else F.col(c) for c, t in rows.dtypes]
    number, together = rows.agg(F.count("*"), F.bit_xor(F.xxhash64(*columns))).collect()[0]
    return number, together


def join(path: str) -> None:
    """Features as of each label: equality on the day, as build_sequences joins, beside a range join and row_number."""
    spark = build_session("bench")
    config = load(path, [])
    warehouse, tables = Warehouse(spark, config.warehouse), all_tables(config.features)
    names = [c.name for c in tables["user_features"].columns if c.name.endswith("d")]
    features = warehouse.read(tables["user_features"]).select("user_id", "date", *names)
    labels = (
        warehouse.read(tables["events"]).select("event_id", "user_id", "date").orderBy(F.xxhash64("event_id")).limit(LABELS)
    )
    labels.write.mode("overwrite").parquet(f"{config.warehouse}-labels")
    labels = spark.read.parquet(f"{config.warehouse}-labels")

    def ours() -> DataFrame:
        return labels.join(features, ["user_id", "date"])

    def theirs() -> DataFrame:
        known = features.withColumnRenamed("date", "feature_date")
        pairs = labels.join(known, "user_id").where(F.col("feature_date") <= F.col("date"))
        latest = Window.partitionBy("event_id").orderBy(F.desc("feature_date"))
        return pairs.withColumn("nth", F.row_number().over(latest)).where("nth = 1").drop("nth", "feature_date")

    seconds, out = {}, Path(config.warehouse).with_name("joined")
    for name, joined in (("ours", ours), ("theirs", theirs), ("ours", ours), ("theirs", theirs)):  # the first round warms up
        seconds[name] = _timed(lambda made=joined, to=name: made().write.mode("overwrite").parquet(f"{out}-{to}"))  # type: ignore[misc]
    figure("features as of a million labels", seconds["ours"], "s", 10, "range join and row_number", seconds["theirs"])
    figure("rows in which the two joins differ", _difference(spark, f"{out}-ours", f"{out}-theirs"), "rows", 0)


def _difference(spark: SparkSession, one: str, other: str) -> int:
    a = spark.read.parquet(one)
    b = spark.read.parquet(other).select(a.columns)
    return a.exceptAll(b).count() + b.exceptAll(a).count()


# Layout


def layout(path: str) -> None:
    """Reading one user's features from the table as it is written, and after OPTIMIZE with Z-order by the key."""
    spark = build_session("bench")
    config = load(path, [])
    folder, out = f"{config.warehouse}/user_features", f"{config.warehouse}-layout"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder, out)  # file by file as it was written
    someone = spark.read.format("delta").load(folder).agg(F.max("user_id")).head()[0]  # type: ignore[index]

    def read_one() -> None:
        spark.read.format("delta").load(out).where(F.col("user_id") == F.lit(someone)).toPandas()

    _timed(read_one)
    before = min(_timed(read_one) for _ in range(5))
    seconds = _timed(lambda: DeltaTable.forPath(spark, out).optimize().executeZOrderBy("user_id"))
    _timed(read_one)
    after = min(_timed(read_one) for _ in range(5))
    figure("seconds to read one user after Z-order", after, "s", 1, "as written", before)
    figure("seconds of OPTIMIZE with Z-order", seconds, "s", 0)


# Fuzz

FUZZED = 1_000_000
GOOD = {"user": "u{n}", "item": "i{n}", "action": "view", "rating": "3.5", "at": "2024-03-01T10:00:00Z"}
DIRT = {
    "user": ["", " ", "NULL", "\\N", "\u0000", "u" * 5_000, "\ufffd\ud7ff"],
    "item": ["", "nan", "None", "i\t1", '"quoted"', "'; DROP TABLE events; --"],
    "action": ["", "VIEW", "buy ", "\u200bview", "1"],
    "rating": ["", "9", "-1", "1e400", "NaN", "Infinity", "3,5", "three", "0x3", "5" * 400],
    "at": [
        "",
        "0",
        "1970-01-01",
        "2999-01-01T00:00:00Z",
        "2024-02-30T00:00:00Z",
        "yesterday",
        "2024-03-01T25:00:00Z",
        "-1",
        "9" * 30,
    ],
}


def fuzz(path: str) -> None:
    """A million lines with every kind of dirt at random rates: each is an event, a repetition or refused with a reason.

    A blank line is no row.
    """
    spark = build_session("bench")
    folder, rng = Path(path).parent, random.Random(0)
    rates = {column: rng.random() / 4 for column in DIRT}
    with (folder / "fuzz.csv").open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        file.write("user,item,action,rating,at\n")
        lines = [_line(rng, rates) for _ in range(FUZZED)]
        file.writelines(line + "\n" for line in lines)
    source = {
        "path": str(folder / "fuzz.csv"),
        "format": "csv",
        "time": {"unit": "text"},
        "event_types": ["view", "cart", "buy"],
    }
    options = [f"source.events.{key}={json.dumps(value)}" for key, value in source.items()]
    warehouse = f"{folder}/fuzz"
    sets = [part for option in (*options, f"warehouse={warehouse}") for part in ("--set", option)]
    code = clean_events.main(["--config", path, *sets])
    tables = {name: spark.read.format("delta").load(f"{warehouse}/{name}") for name in ("events", "quarantine", "runs")}
    run = tables["runs"].where("job = 'clean_events'").orderBy(F.desc("started_at")).head()
    refused = tables["quarantine"].where("source = 'events'")
    figure("exit code of cleaning a million fuzzed lines", code, "code", 0)
    figure("fuzzed lines in", run["rows_in"], "rows", sum(bool(line.strip()) for line in lines))  # type: ignore[index]
    out = tables["events"].count() + run["rows_duplicate"] + refused.count()  # type: ignore[index]
    figure("fuzzed lines that are neither event, repetition nor refused", run["rows_in"] - out, "rows", 0)  # type: ignore[index]
    figure("refused lines without a reason", refused.where(F.size("reasons") == 0).count(), "rows", 0)


def _line(rng: random.Random, rates: dict[str, float]) -> str:
    kind, good = rng.random(), {c: text.format(n=rng.randrange(50_000)) for c, text in GOOD.items()}
    if kind < 0.01:
        return "".join(chr(rng.randrange(32, 0x2FFF)) for _ in range(rng.randrange(0, 60)))
    if kind < 0.02:
        return ",".join(list(good.values())[: rng.randrange(5)])
    cells = [rng.choice(DIRT[c]) if rng.random() < rates[c] else good[c] for c in GOOD]
    return ",".join([*cells, "more"] if kind < 0.03 else cells)


if __name__ == "__main__":
    {"build": build, "daily": daily, "join": join, "layout": layout, "fuzz": fuzz}[sys.argv[1]](sys.argv[2])
