"""Transitions of items: what users choose right after one."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.order import user_order
from features.sequences_config import Transitions


def item_transitions(events: DataFrame, items: DataFrame, config: Transitions) -> DataFrame:
    """The rows of `item_transitions`: per item the `top` items that most often come right after it, ties by id.

    share(a, b) = n_ab / (n_a + shrinkage), where n_ab are the times that b was the next event of a user after a, and n_a
    those that anything was: the chance of b in a Markov chain of the first order, less where a was seen seldom.

    Args:
        events: user_id, item_id, event_time, tie_order; of the training period.
        items: item_vocabulary.
    """
    steps = events.select("item_id", F.lead("item_id").over(user_order()).alias("next_item_id")).where(
        "next_item_id IS NOT NULL"
    )
    pairs = steps.groupBy("item_id", "next_item_id").agg(F.count("*").alias("events"))
    of_item = Window.partitionBy("item_id")
    order = of_item.orderBy(F.desc("events"), "next_item_id")
    ranked = pairs.withColumns({"all": F.sum("events").over(of_item), "rank": F.row_number().over(order)})
    best = ranked.where(F.col("rank") <= config.top)
    shares = best.withColumn("share", F.col("events") / (F.col("all") + config.shrinkage))
    indices = items.select("item_id", "index")
    following = indices.select(F.col("item_id").alias("next_item_id"), F.col("index").alias("next_index"))
    rows = shares.join(indices, "item_id").join(following, "next_item_id")
    return rows.select("item_id", "rank", "next_item_id", "events", "share", "index", "next_index")
