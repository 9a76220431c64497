"""The chain for users without a vector."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from pyspark.sql import DataFrame, SparkSession

from features.signals.fallbacks import (
    POPULAR,
    POPULAR_IN_SEGMENT,
    fallback_chains,
    with_fallbacks,
    within_reach,
    without_candidates,
)

USERS = [
    ("fan", "x", []),
    ("seen_two", "x", [7, 3]),
    ("alone", "empty segment", []),
    ("plain", None, []),
    ("seen_all", None, [2, 3, 4, 5]),
]
USERS_DDL = "user_id string, segment string, seen array<int>"
POPULARITY = [(3, 9.0), (2, 9.0), (4, 5.0), (5, 1.0)]
BY_SEGMENT = [("x", 7, 4.0), ("x", 4, 3.0), ("y", 8, 100.0)]


@pytest.fixture(scope="module")
def users(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(USERS, USERS_DDL).persist()


def _chains(users: DataFrame, chain: Sequence[str], depth: int) -> DataFrame:
    spark = users.sparkSession
    popularity = spark.createDataFrame(POPULARITY, "index int, score double")
    by_segment = spark.createDataFrame(BY_SEGMENT, "segment string, index int, score double")
    return fallback_chains(users, popularity, by_segment, chain, depth)


def _lists(users: DataFrame, chains: DataFrame, k: int) -> dict[str, list[tuple]]:
    found: dict[str, list[tuple]] = {}
    for row in with_fallbacks(users, chains, k).orderBy("user_id", "rank").collect():
        found.setdefault(row["user_id"], []).append((row["rank"], row["index"], row["source"]))
    return found


def test_a_user_goes_down_the_chain_and_never_meets_an_item_twice(users: DataFrame) -> None:
    found = _lists(users, _chains(users, (POPULAR_IN_SEGMENT, POPULAR), depth=8), k=4)
    segment, anywhere = POPULAR_IN_SEGMENT, POPULAR
    assert found["fan"] == [(1, 7, segment), (2, 4, segment), (3, 2, anywhere), (4, 3, anywhere)]  # 2 and 3 tie: by index
    assert found["seen_two"] == [(1, 4, segment), (2, 2, anywhere), (3, 5, anywhere)]  # fewer than four are left
    assert found["alone"] == found["plain"] == [(1, 2, anywhere), (2, 3, anywhere), (3, 4, anywhere), (4, 5, anywhere)]
    assert "seen_all" not in found


def test_users_without_candidates_are_counted(users: DataFrame) -> None:
    assert without_candidates(users, _chains(users, (POPULAR_IN_SEGMENT, POPULAR), depth=8)) == 1
    assert without_candidates(users, _chains(users, (), depth=8)) == len(USERS)


def test_a_chain_of_segments_alone_leaves_users_of_no_segment_without(users: DataFrame) -> None:
    assert set(_lists(users, _chains(users, (POPULAR_IN_SEGMENT,), depth=8), k=2)) == {"fan", "seen_two"}


def test_everyone_gets_the_first_unseen_of_a_chain_that_one_user_makes_deep(spark: SparkSession) -> None:
    chain, rng, k = list(range(2, 102)), random.Random(0), 5
    seen = {f"u{n}": rng.sample(chain[:12], n) for n in range(12)} | {"heavy": chain[:-3], "at_the_end": chain[:20:2]}
    users = spark.createDataFrame([(user, None, of) for user, of in seen.items()], USERS_DDL)
    popularity = spark.createDataFrame([(index, -float(index)) for index in chain], "index int, score double")
    by_segment = popularity.selectExpr("'x' AS segment", "*")
    chains = fallback_chains(users, popularity, by_segment, (POPULAR,), k + len(chain)).persist()
    first = {user: [index for index in chain if index not in of][:k] for user, of in seen.items()}
    expected = {user: [(rank, index, POPULAR) for rank, index in enumerate(of, 1)] for user, of in first.items()}
    assert _lists(users, chains, k) == expected
    assert len(expected["heavy"]) == 3 and without_candidates(users, chains) == 0
    met = {row["user_id"]: row["count"] for row in within_reach(users, chains, k).groupBy("user_id").count().collect()}
    assert all(count <= len(seen[user]) + 2 * k for user, count in met.items())  # and not all hundred
