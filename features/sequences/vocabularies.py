"""Vocabularies: id to index. 0 is padding, 1 unknown, entries start at 2; an index never changes its meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

PADDING, UNKNOWN, FIRST = 0, 1, 2


@dataclass(frozen=True)
class Vocabularies:
    """The tables item_vocabulary, user_vocabulary and label_vocabulary."""

    items: DataFrame
    users: DataFrame
    labels: DataFrame


def known(index: str) -> Column:
    """The index that a left join with a vocabulary found, or unknown; never null."""
    return F.coalesce(F.col(index), F.lit(UNKNOWN))


def items_in_order(events: DataFrame, items: DataFrame, least: int = 0) -> DataFrame:
    """Distinct item_id of training events and catalogue, with `first_seen`; null for one without a training event.

    Items with fewer than `least` training events are left out, so with 1 or more the catalogue adds none.
    """
    seen = events.where(F.col("split") == "train").select("item_id", F.col("event_time").alias("first_seen"))
    listed = items.select("item_id", F.lit(None).cast("timestamp").alias("first_seen"))
    found = seen.unionByName(listed).groupBy("item_id")
    counted = found.agg(F.min("first_seen").alias("first_seen"), F.count("first_seen").alias("events"))
    return counted.where(F.col("events") >= least).drop("events")


def users_in_order(events: DataFrame) -> DataFrame:
    """Distinct user_id of training events, with `first_seen`."""
    return events.where(F.col("split") == "train").groupBy("user_id").agg(F.min("event_time").alias("first_seen"))


def labels_in_order(events: DataFrame, items: DataFrame) -> DataFrame:
    """Distinct (column, label): categories of the catalogue, event types of training events."""
    categories = items.select(F.lit("categories").alias("column"), F.explode("categories").alias("label"))
    types = events.where(F.col("split") == "train").select(
        F.lit("event_type").alias("column"), F.col("event_type").alias("label")
    )
    return categories.unionByName(types).distinct()


def new_entries(old: DataFrame, found: DataFrame, keys: Sequence[str], order: Sequence[Column]) -> DataFrame:
    """The entries of `found` that a vocabulary lacks, with the indices after its last one.

    Args:
        old: the vocabulary so far.
        found: distinct entries of this build.
        keys: the id's columns; with several, indices are counted within all but the last.
        order: which entry of one build comes first; it must be total.
    """
    *within, _ = keys
    last = old.groupBy(*within).agg(F.max("index").alias("last"))
    new = found.join(old, list(keys), "left_anti")
    new = new.join(last, within, "left") if within else new.crossJoin(last)
    # One ordered list of new entries: a single task, of ids only.
    place = F.row_number().over(Window.partitionBy(*within).orderBy(*order))
    index = F.coalesce("last", F.lit(FIRST - 1)) + place
    return new.select(*keys, index.cast("int").alias("index"))
