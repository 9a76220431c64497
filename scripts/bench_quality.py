#!/usr/bin/env python3
"""Quality of the model beside popularity and Spark ALS, same split, same evaluator, one run.

    scripts/bench_quality.py CONF [job options]        CONF splits by leave_one_out

Runs the pipeline where it has not run yet, fits ALS on the same training and validation events, ranks all items for every
test user, and prints one JSON line a figure: name, value, unit, peer, peer_value, ratio, goal.
"""

from __future__ import annotations

import sys

import numpy as np
from figures import figure
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.splits import with_split
from features.tables import EVENTS, ITEM_VOCABULARY, METRICS, MODELS, USER_VOCABULARY
from jobs import run_pipeline
from jobs.runtime.arguments import Arguments
from jobs.runtime.config import Scenario
from jobs.runtime.job import run_command
from jobs.runtime.warehouse import Warehouse
from models.evaluation import Requests, judge
from models.ranking import METRICS as RANK_METRICS

K = 10
RANK, REGULARISATION, ALPHA, ITERATIONS, SEED = 64, 0.05, 10.0, 15, 42  # usual for data of this size; not searched
GOAL = {"popularity": 2.0, "als": 1.0}  # ratio that we want at least


def indexed_events(warehouse: Warehouse, config: Scenario) -> DataFrame:
    """user, item (indices of the vocabularies), split: the events that the model was trained and judged on."""
    events = with_split(warehouse.read(EVENTS), config.sequences.split)
    users = warehouse.read(USER_VOCABULARY).withColumnRenamed("index", "user")
    items = warehouse.read(ITEM_VOCABULARY).withColumnRenamed("index", "item")
    return events.join(users, "user_id").join(items, "item_id").select("user", "item", "split")


def als(events: DataFrame, items: int) -> dict[bool, np.ndarray]:
    """Ranks of the test targets under implicit ALS: False raw, True without the user's own history."""
    past = events.where("split != 'test'").select("user", "item").distinct().withColumn("seen", F.lit(1.0))
    model = ALS(
        rank=RANK, regParam=REGULARISATION, alpha=ALPHA, maxIter=ITERATIONS, implicitPrefs=True, seed=SEED,
        userCol="user", itemCol="item", ratingCol="seen",
    ).fit(past)  # fmt: skip
    item_factors = np.zeros((items, RANK), np.float32)
    for row in model.itemFactors.collect():
        item_factors[row["id"]] = row["features"]
    seen = past.groupBy("user").agg(F.collect_list("item").alias("seen"))
    users = model.userFactors.withColumnRenamed("id", "user").join(seen, "user")
    rows = users.join(events.where("split = 'test'"), "user").orderBy("user").collect()
    requests = Requests(
        np.array([r["features"] for r in rows], np.float32),
        np.array([r["item"] for r in rows]),
        [np.array(r["seen"]) for r in rows],
    )
    raw, masked = judge(requests, item_factors, K).ranks
    return {False: raw, True: masked}


def measure(spark: SparkSession, config: Scenario, given: Arguments) -> int:
    code = run_pipeline.execute(spark, config, given)
    if code:
        return code
    warehouse = Warehouse(spark, config.warehouse, config.catalog)
    model_id = warehouse.read(MODELS).orderBy(F.desc("created_at")).select("model_id").collect()[0][0]
    judged = warehouse.read(METRICS).where((F.col("model_id") == model_id) & (F.col("split") == "test") & (F.col("k") == K))
    values = {(r["model"], r["metric"], r["masked"]): r["value"] for r in judged.collect()}
    items = warehouse.read(ITEM_VOCABULARY).agg(F.max("index") + 1).collect()[0][0]
    als_ranks = als(indexed_events(warehouse, config), items)
    for masked in (True, False):
        for metric in ("hr", "ndcg"):
            ours = values["lakeformer", metric, masked]
            peers = {
                "popularity": values["popularity", metric, masked],
                "als": float(RANK_METRICS[metric](als_ranks[masked], K).mean()),
            }
            for peer, value in peers.items():
                name = f"{config.name} {metric}@{K} {'masked' if masked else 'raw'}"
                figure(name, ours, "share", GOAL[peer], peer, value, ratio=ours / value)
    return 0


def main() -> int:
    config, *options = sys.argv[1:] or ["--help"]
    argv = [config, *options] if config.startswith("-") else ["--config", config, *options]
    return run_command("bench_quality", __doc__ or "", argv, measure)


if __name__ == "__main__":
    sys.exit(main())
