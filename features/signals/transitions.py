"""Transitions of items: what users choose after one."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.sequences.config import Transitions
from features.sequences.order import user_order

_ONE = 2**32  # what the next event counts for: sums of whole numbers are the same in whatever order


def item_transitions(events: DataFrame, items: DataFrame, config: Transitions) -> DataFrame:
    """The rows of `item_transitions`: per reach and item the `top` items that most often come after it, ties by id.

    share(a, b) = w_ab / (w_a + shrinkage), where w_ab adds up fading^(d - 1) over the times that b was the d-th event of a
    user after a, for d up to the reach, and w_a does over whatever came. With a reach of 1 that is the chance of b in a Markov
    chain of the first order, less where a was seen seldom.

    Args:
        events: user_id, item_id, event_time, tie_order; of the training period.
        items: item_vocabulary.
    """
    later = F.collect_list("item_id").over(user_order().rowsBetween(1, max(config.reaches)))
    steps = events.withColumn("later", later).select("item_id", F.posexplode("later").alias("distance", "next_item_id"))
    weight = F.round(F.pow(F.lit(config.fading), F.col("distance")) * _ONE).cast("bigint")

    def within(reach: int) -> Column:
        near = F.col("distance") < reach
        return F.struct(
            F.lit(reach).alias("reach"), F.count_if(near).alias("events"), F.sum(F.when(near, weight)).alias("weight")
        )

    sums = steps.groupBy("item_id", "next_item_id").agg(F.array(*[within(reach) for reach in config.reaches]).alias("sums"))
    pairs = sums.select("item_id", "next_item_id", F.inline("sums")).where(F.col("events") > 0)
    of_item = Window.partitionBy("reach", "item_id")
    order = of_item.orderBy(F.desc("weight"), "next_item_id")
    ranked = pairs.withColumns({"all": F.sum("weight").over(of_item), "rank": F.row_number().over(order)})
    best = ranked.where(F.col("rank") <= config.top)
    shares = best.withColumn("share", F.col("weight") / (F.col("all") + config.shrinkage * _ONE))
    indices = items.select("item_id", "index")
    following = indices.select(F.col("item_id").alias("next_item_id"), F.col("index").alias("next_index"))
    rows = shares.join(indices, "item_id").join(following, "next_item_id")
    return rows.select("reach", "item_id", "rank", "next_item_id", "events", "share", "index", "next_index")
