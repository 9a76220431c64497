"""Neighbours of items: those that the same users choose, surely enough."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.sequences.config import Neighbours


def item_neighbours(events: DataFrame, config: Neighbours) -> DataFrame:
    """The rows of `item_neighbours`: per item the `top` others with the highest similarity, ties by id.

    similarity(a, b) = n_ab / sqrt(n_a n_b) * n_ab / (n_ab + shrinkage), where n_a are the users who have chosen a, and n_ab
    those who have chosen both: the cosine of Sarwar et al. (2001), shrunk as in Bell and Koren (2007), since two users who
    agree say less than two hundred. Only the newest `history` items of a user count, so that the pairs of a user are
    bounded and nobody's whole life outweighs the others.

    Args:
        events: user_id, item_id, event_time, tie_order; of the training period.
    """
    chosen = _newest_items(events, config.history).persist()
    users = chosen.groupBy("item_id").agg(F.count("*").alias("chosen_by"))
    lists = chosen.groupBy("user_id").agg(F.collect_list("item_id").alias("items"))
    pairs = (
        lists.select(F.explode("items").alias("item_id"), "items")
        .select("item_id", F.explode("items").alias("neighbour_id"))
        .where("item_id != neighbour_id")
        .groupBy("item_id", "neighbour_id")
        .agg(F.count("*").alias("users"))
        .join(users, "item_id")
        .join(users.select(F.col("item_id").alias("neighbour_id"), F.col("chosen_by").alias("other_by")), "neighbour_id")
    )
    cosine = F.col("users") / F.sqrt(F.col("chosen_by") * F.col("other_by"))
    similar = pairs.withColumn("similarity", cosine * F.col("users") / (F.col("users") + config.shrinkage))
    order = Window.partitionBy("item_id").orderBy(F.desc("similarity"), "neighbour_id")
    ranked = similar.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= config.top)
    return ranked.select("item_id", "rank", "neighbour_id", "users", "similarity")


def _newest_items(events: DataFrame, history: int) -> DataFrame:
    """The distinct items that each user has chosen last: `user_id`, `item_id`."""
    once = events.groupBy("user_id", "item_id").agg(F.max(F.struct("event_time", "tie_order")).alias("last"))
    order = Window.partitionBy("user_id").orderBy(F.desc("last"), "item_id")
    return once.withColumn("place", F.row_number().over(order)).where(F.col("place") <= history).select("user_id", "item_id")
