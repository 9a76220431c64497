"""Popularity: by how many users an item was chosen. Repeats of one user count once, so that nobody can vote twice."""

from __future__ import annotations

import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def keep_before(events: DataFrame, as_of: datetime.date, days: int | None = None) -> DataFrame:
    """The events of the `days` whole days before `as_of`; of all days before it where no number is given."""
    past = events.where(F.col("date") < F.lit(as_of))
    return past if days is None else past.where(F.col("date") >= F.lit(as_of - datetime.timedelta(days=days)))


def popular(events: DataFrame, items: DataFrame) -> DataFrame:
    """`index` and `score` (double), the number of users with an event of the item.

    Args:
        events: user_id, item_id; those of the period that counts.
        items: item_vocabulary; items that it lacks are left out.
    """
    return _users_of(events, items, [])


def popular_in_segment(events: DataFrame, items: DataFrame, users: DataFrame) -> DataFrame:
    """`segment`, `index` and `score`: as `popular`, counted within each segment.

    Args:
        users: user_id and segment; users without a segment vote in none.
    """
    members = users.where(F.col("segment").isNotNull()).select("user_id", "segment")
    return _users_of(events.join(members, "user_id"), items, ["segment"])


def _users_of(events: DataFrame, items: DataFrame, within: list[str]) -> DataFrame:
    pairs = events.select(*within, "user_id", "item_id").distinct()
    counted = pairs.groupBy(*within, "item_id").agg(F.count("*").cast("double").alias("score"))
    return counted.join(items.select("item_id", "index"), "item_id").select(*within, "index", "score")
