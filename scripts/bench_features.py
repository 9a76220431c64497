#!/usr/bin/env python3
"""Cleaning and features beside polars, under skew, of one day more; the training join; the layout of files; and fuzz.

    scripts/bench_features.py [--millions 1 5 20] [--only throughput skew daily join layout fuzz] [--folder DIR]

Raw events are made up (users and items of uneven popularity, two years, some dirt and repetition) and written as Parquet.
Both sides read them and write the same tables, each in a process of its own on two threads; wall time is that of the whole
process, start of Spark included. Spark's driver has 2 GB. At the smallest size the tables of both are compared row by row.
Prints one JSON line a figure: name, value, unit, peer, peer_value, ratio, goal; where Spark's time went goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import polars.testing
import yaml
from figures import figure

ROOT = Path(__file__).resolve().parent.parent
SPARK, PEER = (ROOT / "scripts" / f"bench_features_{side}.py" for side in ("spark", "polars"))
PARTS = ("throughput", "skew", "daily", "join", "layout", "fuzz")
HOT = 0.3  # of the events are those of one user, and of one item, where keys are skewed
DAYS, ITEMS, ROWS_PER_FILE, EPOCH = 730, 20_000, 1_000_000, 1_672_531_200  # 2023-01-01
SCENARIO = {
    "name": "bench",
    "source": {
        "events": {
            "format": "parquet",
            "columns": {"user_id": "user", "item_id": "item", "event_type": "action", "value": "rating", "event_time": "at"},
            "time": {"unit": "us"},
        }
    },
    "clean": {"checks": [{"column": "value", "between": [0.5, 5]}], "max_refused": 1.0},
    "features": {
        "user": [{"count": "events", "days": [7, 30, 90]}, {"mean": "value", "days": [90]}],
        "item": [{"count": "events", "days": [7, 30, 90]}, {"mean": "value", "days": [90]}],
    },
}
TABLES = {
    "events": ["user_id", "item_id", "event_type", "value", "event_time"],
    "user_days": ["user_id", "date"],
    "item_days": ["item_id", "date"],
    "user_features": ["user_id", "date"],
    "item_features": ["item_id", "date"],
}


# Raw events


def make_raw(folder: Path, rows: int, seed: int = 0, hot: float = 0.0) -> Path:
    """Parquet files of raw events: 2 % are exact repetitions, 1 % lack the item or have an impossible rating.

    Args:
        hot: share of the events that one user makes, and of those that are about one item.
    """
    folder.mkdir(parents=True)
    rng, users = np.random.default_rng(seed), max(100, rows // 50)
    for number, start in enumerate(range(0, rows, ROWS_PER_FILE)):
        n = min(ROWS_PER_FILE, rows - start)
        item, user = (ITEMS * rng.random(n) ** 3).astype(int), (users * rng.random(n) ** 1.5).astype(int)
        if hot:
            item, user = (np.where(rng.random(n) < hot, 0, ids) for ids in (item, user))
        rating = rng.integers(1, 11, n) / 2
        raw = pl.DataFrame(
            {
                "user": user,
                "item": item,
                "action": rng.integers(0, 3, n),
                "rating": np.where(rng.random(n) < 0.005, 9.0, rating),
                "at": (EPOCH * 1_000_000 + rng.integers(0, DAYS * 86_400, n) * 1_000_000),
                "lost": rng.random(n) < 0.005,
            }
        ).select(
            pl.format("u{}", "user").alias("user"),
            pl.when(~pl.col("lost")).then(pl.format("i{}", "item")).alias("item"),
            pl.col("action").replace_strict({0: "view", 1: "cart", 2: "buy"}).alias("action"),
            "rating",
            "at",
        )
        again = raw.sample(fraction=0.02, seed=seed + number)
        pl.concat([raw.head(n - again.height), again]).write_parquet(folder / f"events-{number:03}.parquet")
    return folder


# One side in a process of its own


def conf(folder: Path, raw: Path, warehouse: Path) -> Path:
    source = {"events": SCENARIO["source"]["events"] | {"path": f"{raw}/*.parquet"}}  # type: ignore[index]
    path = folder / "bench.yaml"
    path.write_text(yaml.safe_dump(SCENARIO | {"warehouse": str(warehouse), "source": source}))
    return path


def in_spark(*arguments: str, log: Path) -> float:
    """Seconds of a process, with a driver of 2 GB, running one of the functions of bench_features_spark.py."""
    environment = {**os.environ, "PYSPARK_SUBMIT_ARGS": "--master local[2] --driver-memory 2g pyspark-shell"}
    started = time.monotonic()
    with log.open("w") as file:
        subprocess.run([sys.executable, str(SPARK), *arguments], env=environment, stderr=file, check=True)
    return time.monotonic() - started


def in_polars(raw: Path, out: Path) -> float:
    environment = {**os.environ, "POLARS_MAX_THREADS": "2"}
    started = time.monotonic()
    subprocess.run([sys.executable, str(PEER), str(raw), str(out)], env=environment, check=True)
    return time.monotonic() - started


def steps(log: Path) -> Counter[str]:
    """Seconds of each job's steps, as its log tells them."""
    found: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        entry = json.loads(line) if line.startswith('{"') else {}
        if "seconds" in entry and "step" in entry:
            found[f"{entry.get('job', '')} {entry['step']} {entry.get('table', '')}".strip()] += entry["seconds"]
    return found


# Figures


def throughput(folder: Path, millions: list[float]) -> None:
    ours, theirs = [], []
    for size in millions:
        raw = make_raw(folder / f"raw-{size:g}", int(size * 1e6))
        path, log = conf(folder, raw, folder / f"spark-{size:g}"), folder / f"spark-{size:g}.log"
        ours.append(in_spark("build", str(path), log=log))
        theirs.append(in_polars(raw, folder / f"polars-{size:g}"))
        figure(f"cleaning and features, {size:g} M events", ours[-1], "s", 1 / 3, "polars", theirs[-1])
        for name, seconds in steps(log).most_common(12):
            print(f"  {seconds:7.1f} s  {name}", file=sys.stderr)
        if size == min(millions):
            figure("tables that differ from polars's", len(differing(folder, size)), "tables", 0)
    if len(millions) > 1:
        (marginal, fixed), (their_marginal, their_fixed) = (np.polyfit(millions, seconds, 1) for seconds in (ours, theirs))
        figure("marginal seconds a million events", marginal, "s", 1 / 3, "polars", their_marginal)
        figure("fixed seconds", fixed, "s", 0, "polars", their_fixed)
        growth = math.log(ours[-1] / ours[0]) / math.log(millions[-1] / millions[0])
        figure("exponent of time in events", growth, "power", 1.05)


def skew(folder: Path, size: float) -> None:
    """The same number of events, HOT of them of one user and of one item, beside keys of ordinary popularity."""
    seconds = []
    for name, hot in (("even", 0.0), ("hot", HOT)):
        raw = make_raw(folder / f"raw-{name}", int(size * 1e6), hot=hot)
        path = conf(folder, raw, folder / f"spark-{name}")
        seconds.append(in_spark("build", str(path), log=folder / f"{name}.log"))
    even, hot_seconds = seconds
    figure(f"seconds with {HOT:.0%} of {size:g} M events of one user and one item", hot_seconds, "s", 0.8, "no such keys", even)


def differing(folder: Path, size: float) -> list[str]:
    """Tables that are not the same on both sides, floats to 1e-9; of events but for the id, which is polars's own."""
    wrong = []
    for name, keys in TABLES.items():
        theirs = pl.read_parquet(folder / f"polars-{size:g}" / f"{name}.parquet").drop("event_id", strict=False).sort(keys)
        ours = pl.read_delta(str(folder / f"spark-{size:g}" / name)).select(theirs.columns).sort(keys)
        ours = ours.cast(dict(zip(theirs.columns, theirs.dtypes, strict=True)))
        try:
            pl.testing.assert_frame_equal(ours, theirs, rel_tol=1e-9)
        except AssertionError as error:
            print(f"{name}: {error}", file=sys.stderr)
            wrong.append(name)
    return wrong


def built(folder: Path, size: float) -> Path:
    """The scenario over a warehouse of `size` million events; made where it is not there yet."""
    raw, warehouse = folder / f"raw-{size:g}", folder / f"spark-{size:g}"
    path = conf(folder, raw, warehouse)
    if not (warehouse / "user_features").exists():
        if not raw.exists():
            make_raw(raw, int(size * 1e6))
        in_spark("build", str(path), log=folder / "build.log")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 5, 20])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--folder", type=Path, help="kept, to go on from; a temporary one where none is given")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if "throughput" in given.only:
            throughput(folder, sorted(given.millions))
        if "skew" in given.only:
            skew(folder, min(given.millions))
        for part in ("daily", "join", "layout", "fuzz"):
            if part in given.only:
                in_spark(part, str(built(folder, sorted(given.millions)[len(given.millions) // 2])), log=folder / f"{part}.log")


if __name__ == "__main__":
    main()
