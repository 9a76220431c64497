"""Where a target stands in the whole history of its user, so that everything before it can be left out of a ranking."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.scaling import scored_values
from features.sequences.config import SequencesConfig
from features.sequences.order import with_positions
from features.sequences.sequences import keep_types
from features.sequences.splits import SPLITS, with_split
from features.sequences.vocabularies import known


def seen_items(events: DataFrame, items: DataFrame) -> DataFrame:
    """`user_id` and `seen`, the indices of the items that a user has an event of, ascending; array<int>.

    Args:
        events: user_id, item_id.
        items: item_vocabulary; items that it lacks are left out.
    """
    pairs = events.join(items.select("item_id", "index"), "item_id")
    return pairs.groupBy("user_id").agg(F.sort_array(F.collect_set("index")).alias("seen"))


def last_items(events: DataFrame, items: DataFrame, count: int) -> DataFrame:
    """`user_id` and `last`, the indices of the items of a user's last `count` events, the newest first; array<int>.

    Args:
        events: user_id, item_id, event_time, tie_order; of the types that enter sequences.
        items: item_vocabulary; an item that it lacks is unknown.
    """
    newest = with_positions(events).where(F.col("user_events") - F.col("position") <= count)
    indexed = newest.join(items.select("item_id", "index"), "item_id", "left").withColumn("index", known("index"))
    in_order = F.sort_array(F.collect_list(F.struct("position", "index")), asc=False)
    return indexed.groupBy("user_id").agg(in_order.alias("last")).select("user_id", F.col("last.index").alias("last"))


def given_values(events: DataFrame, items: DataFrame, statistics: DataFrame) -> DataFrame:
    """`user_id`, `rated` (array<int>), the indices of the items of a user's events that have a value, the oldest first, and
    `values` (array<float>), their z-scores.

    Args:
        events: user_id, item_id, value, event_time, tie_order; of the types that enter sequences.
        items: item_vocabulary; items that it lacks are left out.
        statistics: with the owner `sequences`; where it has no value, no user has one.
    """
    indexed = scored_values(events, statistics).join(items.select("item_id", "index"), "item_id")
    event = F.struct("event_time", "tie_order", "index", "z")
    whole = indexed.groupBy("user_id").agg(F.sort_array(F.collect_list(event)).alias("all"))
    return whole.select("user_id", F.col("all.index").alias("rated"), F.col("all.z").alias("values"))


def histories(events: DataFrame, items: DataFrame, config: SequencesConfig) -> DataFrame:
    """One row per user: `history` (array<int>, item index of every event in order), `places` and `newest`.

    `places` are the positions in `history` (from 0, in order) of the events that enter sequences; `newest` maps a split to
    the position in `places` of its newest target.
    """
    indexed = events.join(items.select("item_id", "index"), "item_id", "left").withColumn("index", known("index"))
    enters = F.lit(True) if config.event_types is None else F.col("event_type").isin(*config.event_types)
    event = F.struct("event_time", "tie_order", "index", enters.alias("enters"))
    whole = indexed.groupBy("user_id").agg(F.sort_array(F.collect_list(event)).alias("all"))
    numbers = F.sequence(F.lit(0), F.size("all") - 1)
    return whole.select(
        "user_id",
        F.col("all.index").alias("history"),
        F.filter(numbers, lambda i: F.col("all")[i]["enters"]).alias("places"),
    ).join(_newest_targets(events, config), "user_id")


def _newest_targets(events: DataFrame, config: SequencesConfig) -> DataFrame:
    targets = with_split(keep_types(events, config), config.split).where("position > 0")
    newest = [F.max(F.when(F.col("split") == split, F.col("position"))) for split in SPLITS]
    pairs = [part for split, position in zip(SPLITS, newest, strict=True) for part in (F.lit(split), position)]
    return targets.groupBy("user_id").agg(F.create_map(*pairs).alias("newest"))


def with_history(sequences: DataFrame, histories: DataFrame, config: SequencesConfig) -> DataFrame:
    """Adds `history` and `target_at` (array<int>): the position in `history` of each step's target. No row is lost.

    Both are null where the user has no history, and `target_at` is shorter than `events` where the history is another one
    than the sequences were cut from.

    Args:
        sequences: rows of the table, whose windows are numbered from the newest.
    """
    window = F.element_at(F.split("example_id", r"\|"), -1).cast("int")
    last = F.col("newest")[F.col("split")] - window * config.max_length  # position in `places` of the window's last target
    first = last - F.col("events") + 1
    target_at = F.when(first >= 0, F.slice("places", first + 1, F.col("events")))
    return sequences.join(histories, "user_id", "left").withColumn("target_at", target_at).drop("places", "newest")
