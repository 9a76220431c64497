#!/usr/bin/env python3
"""Quality of the model beside what is simpler, same split, same evaluator, one run.

    scripts/bench_quality.py CONF [job options]        CONF splits by leave_one_out

Runs the pipeline where it has not run yet; its last job judges the model beside popularity, recent_popularity, item_knn and
markov_chain. Here Spark ALS and the field's tutorial model, embeddings of user and item into a hidden layer under binary cross
entropy, are fitted on the same training and validation events, and rank all items for every test user. Prints one JSON line a
figure: name, value, unit, peer, peer_value, ratio, goal.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import keras
import numpy as np
from figures import figure
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.sequences.sequences import keep_types
from features.sequences.splits import with_split
from features.tables import EVENTS, ITEM_VOCABULARY, METRICS, MODELS, USER_VOCABULARY
from jobs import run_pipeline
from jobs.modelling.trained import newest_row
from jobs.runtime.arguments import Arguments
from jobs.runtime.command import run_command
from jobs.runtime.config import Scenario
from jobs.runtime.warehouse import Warehouse
from models.evaluation import Requests, judge, judge_scores
from models.inputs import FIRST
from models.ranking import METRICS as RANK_METRICS

K = 10
RANK, REGULARISATION, ALPHA, ITERATIONS, SEED = 64, 0.05, 10.0, 15, 42  # usual for data of this size; not searched
WIDTH, EPOCHS, NEGATIVES, BATCH = 64, 10, 4, 4096  # of the tutorial model; not searched either
GOAL = {  # ratio at least
    "popularity": 2.0, "recent_popularity": 2.0, "item_knn": 1.0, "markov_chain": 1.0, "als": 1.0, "embedding_mlp": 1.0,
}  # fmt: skip


def indexed_events(warehouse: Warehouse, config: Scenario) -> DataFrame:
    """user, item (indices of the vocabularies), split: the events that the model was trained and judged on."""
    events = with_split(keep_types(warehouse.read(EVENTS), config.sequences), config.sequences.split)
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


def embedding_mlp(events: DataFrame, items: int) -> dict[bool, np.ndarray]:
    """Ranks of the test targets under embeddings of user and item, one hidden layer and binary cross entropy."""
    rows: Any = events.toPandas()
    past, test = rows[rows["split"] != "test"], rows[rows["split"] == "test"].sort_values("user")
    users, chosen = past["user"].to_numpy(), past["item"].to_numpy()
    keras.utils.set_random_seed(SEED)
    rng, inputs = np.random.default_rng(SEED), [keras.Input([], dtype="int32") for _ in range(2)]
    embeddings = [keras.layers.Embedding(size, WIDTH) for size in (int(rows["user"].max()) + 1, items)]
    pair = keras.layers.Concatenate()([e(i) for e, i in zip(embeddings, inputs, strict=True)])
    hidden, likely = keras.layers.Dense(WIDTH, activation="relu"), keras.layers.Dense(1, activation="sigmoid")
    model = keras.Model(inputs, likely(hidden(pair)))
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    for _ in range(EPOCHS):
        others = rng.integers(FIRST, items, NEGATIVES * len(chosen))
        pairs = [np.concatenate([users, np.repeat(users, NEGATIVES)]), np.concatenate([chosen, others])]
        model.fit(pairs, np.arange(len(pairs[0])) < len(users), batch_size=BATCH, shuffle=True, verbose=0)
    of_users, of_items = (e.embeddings.numpy() for e in embeddings)
    kernel, bias = hidden.kernel.numpy(), hidden.bias.numpy()
    from_items = of_items @ kernel[WIDTH:] + bias  # (items, WIDTH)

    def scores(block: slice) -> np.ndarray:
        from_users = of_users[test["user"].to_numpy()[block]] @ kernel[:WIDTH]
        return np.stack([np.maximum(from_items + user, 0) @ likely.kernel.numpy()[:, 0] for user in from_users])

    history = past.groupby("user")["item"].unique()
    seen = [history.get(user, np.empty(0, np.int64)) for user in test["user"]]
    raw, masked = judge_scores(scores, items, test["item"].to_numpy(), seen, K).ranks
    return {False: raw, True: masked}


def measure(spark: SparkSession, config: Scenario, given: Arguments) -> int:
    code = run_pipeline.execute(spark, config, given)
    if code:
        return code
    warehouse = Warehouse(spark, config.warehouse, config.catalog)
    model = newest_row(warehouse.read(MODELS), config.scoring.model_id)  # the one that evaluate_model judges
    assert model is not None
    of_model = (F.col("model_id") == model["model_id"]) & (F.col("split") == "test") & (F.col("k") == K)
    judged = warehouse.read(METRICS).where(of_model)
    values = {(r["model"], r["metric"], r["masked"]): r["value"] for r in judged.collect()}
    items = warehouse.read(ITEM_VOCABULARY).agg(F.max("index") + 1).collect()[0][0]
    events = indexed_events(warehouse, config).persist()
    fitted = {"als": als(events, items), "embedding_mlp": embedding_mlp(events, items)}
    for masked in (True, False):
        for metric in ("hr", "ndcg"):
            ours = values["lakeformer", metric, masked]
            judged_before = [name for name in GOAL if name not in fitted]
            peers = {name: values[name, metric, masked] for name in judged_before}
            peers |= {name: float(RANK_METRICS[metric](ranks[masked], K).mean()) for name, ranks in fitted.items()}
            for peer, value in peers.items():
                name = f"{config.name} {metric}@{K} {'masked' if masked else 'raw'}"
                figure(name, ours, "share", GOAL[peer], peer, value, ratio=ours / value if value else math.inf)
    return 0


def main() -> int:
    config, *options = sys.argv[1:] or ["--help"]
    argv = [config, *options] if config.startswith("-") else ["--config", config, *options]
    return run_command("bench_quality", __doc__ or "", argv, measure)


if __name__ == "__main__":
    sys.exit(main())
