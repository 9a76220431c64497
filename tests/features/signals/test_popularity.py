"""Popularity on a log that can be counted by eye."""

from __future__ import annotations

import datetime

import pytest
from pyspark.sql import DataFrame, SparkSession

from features.signals.popularity import keep_before, popular, popular_in_segment

DAY = datetime.date(2026, 5, 10)


def _events(spark: SparkSession) -> DataFrame:
    rows = [
        ("ann", "a", 9), ("ann", "a", 9), ("ann", "a", 8),  # one user, one vote
        ("bob", "a", 3), ("bob", "b", 9), ("cleo", "b", 9), ("cleo", "unlisted", 9),
        ("dan", "c", 10), ("dan", "c", 11),  # of the day itself and after it
    ]  # fmt: skip
    return spark.createDataFrame([(u, i, DAY.replace(day=d)) for u, i, d in rows], "user_id string, item_id string, date date")


@pytest.fixture(scope="module")
def items(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame([("a", 2), ("b", 3), ("c", 4)], "item_id string, index int")


def _found(df: DataFrame) -> set[tuple]:
    return {tuple(row) for row in df.collect()}


def test_an_item_scores_the_users_who_chose_it_before_the_day(spark: SparkSession, items: DataFrame) -> None:
    assert _found(popular(keep_before(_events(spark), DAY), items)) == {(2, 2.0), (3, 2.0)}


def test_a_window_of_days_holds_its_first_day_and_not_the_day_itself(spark: SparkSession) -> None:
    kept = keep_before(_events(spark), DAY, days=7)  # 3 to 9 May
    assert sorted({row["date"].day for row in kept.collect()}) == [3, 8, 9]
    assert {row["date"].day for row in keep_before(_events(spark), DAY, days=6).collect()} == {8, 9}


def test_a_segment_counts_its_own_members_and_users_without_one_count_nowhere(spark: SparkSession, items: DataFrame) -> None:
    users = spark.createDataFrame([("ann", "x"), ("bob", "x"), ("cleo", "y"), ("dan", None)], "user_id string, segment string")
    assert _found(popular_in_segment(_events(spark), items, users)) == {("x", 2, 2.0), ("x", 3, 1.0), ("y", 3, 1.0)}
