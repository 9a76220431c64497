#!/usr/bin/env python3
"""How well values are told that the model has not seen, beside Spark ALS on the same ratings, in one run.

    scripts/bench_ratings.py CONF [--share 0.2 | --first N] [--like 4] [--orders 8] [--folder DIR] [--set KEY=VALUE ...]

CONF has explicit values. A share of its rows, drawn at random, or its first N rows as they lie in the file (u1 of
MovieLens-100k: 20000), are held out before anything reads them. The others go through the jobs: cleaning, features (none),
sequences, training, scoring. A random split knows no time, so every user goes through them several times, as different users
whose ratings come in different random orders; the same twentieth of the ratings comes last in each, and chooses the weights.
What the rating head says of a held-out user and item, from their vectors, and what neighbours of the item say, from all that
the user has rated, averaged over the orders, is compared with the value.
Prints one JSON line a figure: name, value, unit, peer, peer_value, ratio, goal.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from figures import figure
from pyspark.ml.recommendation import ALS
from pyspark.sql import functions as F

from features.source.config import EventSource
from jobs import build_features, build_sequences, clean_events, score_users, train_model
from jobs.runtime.config import load
from jobs.runtime.session import build_session
from models.inputs import UNKNOWN
from models.scoring.exported import Exported
from models.signals.blend import blended
from models.signals.item_values import ItemValues

SEED = 0
RMSE_GOAL, LIKE_GOAL = 0.90, 0.75
RANK, REGULARISATION = 16, 0.1  # of ALS: usual for ratings, not searched
VALID = 0.05  # share of the known ratings that chooses the weights
HISTORY, SHRINKAGE = 1000, 200  # of item values: a random split has whole histories
DAYS, DAY = 19, 86_400  # of made-up time, before the day of validation
SETTINGS = {
    "training": {"keep_by": "value", "patience": 5, "batch_size": 32, "loss": {"value": 1.0}},
    "model": {"positions": "none", "convolution": 1, "request_context": False, "transitions": False},
    "sequences": {"split": {"by": "global_time", "valid_from": "2000-01-20", "test_from": "2000-01-21"}},
    "scoring": {"top_k": 1},
}


def ratings(source: EventSource) -> pl.DataFrame:
    """user, item and value of every row that has them, in the order of the file."""
    if source.format == "parquet":
        raw = pl.read_parquet(source.path)
    else:
        options: dict[str, Any] = {"separator": source.separator, "quote_char": source.quote or None}
        raw = pl.read_csv(source.path, has_header=source.header is None, new_columns=source.header, **options)
    names = {name: source.columns[name].from_ for name in ("user_id", "item_id", "value")}
    rows = raw.select(**{name: pl.col(str(column)) for name, column in names.items()})
    return rows.with_columns(pl.col("user_id", "item_id").cast(pl.String), pl.col("value").cast(pl.Float64)).drop_nulls()


def in_orders(known: pl.DataFrame, orders: int, rng: np.random.Generator) -> pl.DataFrame:
    """The ratings of every user in so many orders, each a user of its own (`42/3`), with their second of made-up time."""
    known, parts = known.with_columns(valid=pl.Series(rng.random(len(known)) < VALID)), []
    of_user = ["user_id", "valid"]
    for number in range(orders):
        drawn = known[rng.permutation(len(known))]
        share = pl.int_range(pl.len()).over(of_user) / pl.len().over(of_user)  # of the user's ratings that come before
        second = pl.when("valid").then((DAYS + share) * DAY).otherwise(share * DAYS * DAY).cast(pl.Int64)
        user = pl.format("{}/{}", "user_id", pl.lit(number))
        parts.append(drawn.select(user.alias("user_id"), "item_id", "value", second.alias("second")))
    return pl.concat(parts)


def scenario(conf: str, folder: Path, like: float | None, orders: int) -> Path:
    """CONF over the ratings that are known."""
    given = yaml.safe_load(Path(conf).read_text())
    events = {
        "path": str(folder / "known.parquet"), "format": "parquet", "event_type": "rate", "value": "explicit",
        "columns": {"user_id": "user_id", "item_id": "item_id", "value": "value", "event_time": "second"},
        "time": {"unit": "order", "start": "2000-01-01", "step_seconds": 1},
    }  # fmt: skip
    source = {"events": events, "items": given["source"].get("items")}
    changed: dict[str, Any] = {"warehouse": str(folder / "warehouse"), "source": source, "features": {}, "clean": {}}
    for section, values in SETTINGS.items():
        changed[section] = given.get(section, {}) | values
    # Of two items as many more users seem to have rated both as there are orders.
    changed["sequences"]["item_values"] = {"history": HISTORY, "shrinkage": SHRINKAGE * orders}
    if like is not None:
        changed["training"]["loss"] = changed["training"]["loss"] | {"like_from": like}
    path = folder / "ratings.yaml"
    path.write_text(yaml.safe_dump(given | changed))
    return path


def told(folder: Path, known: pl.DataFrame, held_out: pl.DataFrame, orders: int) -> np.ndarray:
    """What the model says of each row, mean over the orders: z-score or logit. Of a user or an item that has no vector the
    rating head says 0."""
    (card,) = (folder / "warehouse" / "_models").glob("*/card.json")
    exported = Exported.load(card.parent, threads=2)
    tables = {e: pl.read_delta(str(folder / "warehouse" / f"{e}_vectors")) for e in ("user", "item")}
    items, heads = vectors(held_out, "item_id", tables["item"]), []
    near = by_neighbours(folder, exported.item_values, known, held_out)
    for number in range(orders):
        users = held_out.select(user_id=pl.format("{}/{}", "user_id", pl.lit(number)))
        heads.append(np.nan_to_num(exported.values(vectors(users, "user_id", tables["user"]), items)))
    return blended(np.mean(heads, axis=0), near, exported.item_values.weights)


def by_neighbours(folder: Path, alike: ItemValues, known: pl.DataFrame, held_out: pl.DataFrame) -> np.ndarray:
    """What biases and neighbours of each row's item say, (rows, 2) z-scores."""
    index = pl.read_delta(str(folder / "warehouse" / "item_vocabulary")).select("item_id", "index")
    mean, std = z_score(folder)
    rated = known.join(index, "item_id").with_columns(z=(pl.col("value") - mean) / std)
    pasts = rated.group_by("user_id").agg("index", "z")
    wanted = held_out.with_row_index("n").join(index, "item_id", "left").with_columns(pl.col("index").fill_null(UNKNOWN))
    groups = wanted.group_by("user_id").agg("n", pl.col("index").alias("wanted")).join(pasts, "user_id", "left")
    found = np.zeros((len(held_out), 2))
    for rows, items, past, values in groups.select("n", "wanted", "index", "z").iter_rows():
        found[rows] = alike.opinions(np.array(past or [], int), np.array(values or []), np.array(items))
    return found


def vectors(rows: pl.DataFrame, key: str, table: pl.DataFrame) -> np.ndarray:
    """(rows, dim) float32, NaN where the key has none."""
    found = rows.join(table.select(key, "vector"), key, "left", maintain_order="left")["vector"]
    none = [np.nan] * len(table["vector"][0])
    return np.array([none if v is None else v for v in found.to_list()], np.float32)


def z_score(folder: Path) -> tuple[float, float]:
    """Mean and deviation of the values as the model was trained with them."""
    rows = pl.read_delta(str(folder / "warehouse" / "statistics")).filter(owner="sequences", column="value")
    found = dict(rows.select("statistic", "number").iter_rows())
    return found["mean"], found["std"]


def by_als(known: pl.DataFrame, held_out: pl.DataFrame) -> np.ndarray:
    """Ratings by matrix factorisation; NaN for users and items that it has not seen."""
    spark = build_session("bench")
    names = ("user_id", "item_id")
    codes = {name: {key: n for n, key in enumerate(sorted({*known[name], *held_out[name]}))} for name in names}

    def coded(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select("value", *[pl.col(name).replace_strict(code).alias(name) for name, code in codes.items()])

    als = ALS(rank=RANK, regParam=REGULARISATION, seed=SEED, userCol="user_id", itemCol="item_id", ratingCol="value")
    model = als.fit(spark.createDataFrame(coded(known).to_pandas()))
    rows = coded(held_out).with_row_index("n").to_pandas()
    found = model.transform(spark.createDataFrame(rows)).orderBy("n").select(F.col("prediction").cast("double"))
    return np.array([row[0] for row in found.collect()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("conf")
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--first", type=int)
    parser.add_argument("--like", type=float, help="tell whether a value is at least this, and not the value")
    parser.add_argument("--orders", type=int, default=8, help="in which every user's ratings come")
    parser.add_argument("--folder", type=Path, help="kept; a temporary one where none is given")
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        judge(given, (given.folder or Path(temporary)).resolve())


def judge(given: argparse.Namespace, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows, rng = ratings(load(given.conf, []).source.events), np.random.default_rng(SEED)
    is_out = np.arange(len(rows)) < given.first if given.first else rng.random(len(rows)) < given.share
    known, held_out = rows.filter(~is_out), rows.filter(is_out)
    in_orders(known, given.orders, rng).write_parquet(folder / "known.parquet")
    path = scenario(given.conf, folder, given.like, given.orders)
    sets = [part for option in given.set for part in ("--set", option)]
    for job in (clean_events, build_features, build_sequences, train_model, score_users):
        code = job.main(["--config", str(path), *sets])
        if code:
            raise SystemExit(f"{job.JOB.name} ended with {code}")
    ours, theirs, actual = told(folder, known, held_out, given.orders), by_als(known, held_out), held_out["value"].to_numpy()
    mean, std = z_score(folder)
    theirs = np.clip(np.where(np.isnan(theirs), mean, theirs), actual.min(), actual.max())
    if given.like is None:
        ours = np.clip(ours * std + mean, actual.min(), actual.max())
        rmse, its = (float(np.sqrt(np.mean((found - actual) ** 2))) for found in (ours, theirs))
        figure("RMSE of held-out values", rmse, "rating", RMSE_GOAL, "Spark ALS", its)
        return
    liked = actual >= given.like
    right, its = (float(np.mean(found == liked)) for found in (ours > 0, theirs >= given.like - 0.5))
    figure("held-out likes told right", right, "share", LIKE_GOAL, "Spark ALS", its, right / its)


if __name__ == "__main__":
    main()
