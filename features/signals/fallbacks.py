"""The chain for users without a vector: what is popular in their segment, then what is popular anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

POPULAR_IN_SEGMENT, POPULAR = "popular_in_segment", "popular"


def fallback_chains(
    users: DataFrame, popularity: DataFrame, by_segment: DataFrame, chain: Sequence[str], depth: int
) -> DataFrame:
    """One list per segment of `users`, and one for null: `segment`, `position` (1 is first), `index`, `score`, `source`.

    The sources of `chain` follow each other, each by score, ties by index; an item stands where it comes first. A segment
    that nobody has chosen anything in starts with the next source.

    Args:
        users: segment, null where unknown.
        popularity: index, score.
        by_segment: segment, index, score.
        chain: of POPULAR_IN_SEGMENT and POPULAR, in order; empty: the lists are empty.
        depth: longest list.
    """
    segments = users.select("segment").distinct()
    columns = ["segment", "index", "score"]
    candidates = {
        # Each source alone fills at most `depth` places: cut before everyone's list meets every segment.
        POPULAR: segments.crossJoin(_first(popularity, [], depth)).select(*columns),
        POPULAR_IN_SEGMENT: _first(by_segment, ["segment"], depth).select(*columns),
    }
    nothing = candidates[POPULAR].limit(0).withColumns({"source": F.lit(""), "step": F.lit(0)})
    steps = [candidates[name].withColumns({"source": F.lit(name), "step": F.lit(place)}) for place, name in enumerate(chain)]
    every = reduce(DataFrame.unionByName, steps, nothing)
    earliest = F.row_number().over(Window.partitionBy("segment", "index").orderBy("step"))
    once = every.withColumn("place", earliest).where("place = 1")
    order = Window.partitionBy("segment").orderBy("step", F.desc("score"), "index")
    numbered = once.withColumn("position", F.row_number().over(order)).where(F.col("position") <= depth)
    return numbered.select("segment", "position", "index", "score", "source")


def _first(popularity: DataFrame, within: list[str], depth: int) -> DataFrame:
    order = Window.partitionBy(*within).orderBy(F.desc("score"), "index")
    return popularity.withColumn("place", F.row_number().over(order)).where(F.col("place") <= depth).drop("place")


def with_fallbacks(users: DataFrame, chains: DataFrame, k: int) -> DataFrame:
    """The first `k` items of each user's chain that they have not seen: `user_id`, `rank`, `index`, `score`, `source`.

    Args:
        users: user_id, segment (null: unknown) and `seen`, array<int> of the item indices to leave out, never null.
        chains: of `fallback_chains`, deep enough for k and the longest `seen`.
    """
    same = users["segment"].eqNullSafe(chains["segment"])
    lists = users.join(F.broadcast(chains), same).where(~F.array_contains("seen", F.col("index")))
    order = Window.partitionBy("user_id").orderBy("position")
    ranked = lists.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= k)
    return ranked.select("user_id", "rank", "index", "score", "source")


def without_candidates(users: DataFrame, chains: DataFrame) -> int:
    """How many users have seen everything in their chain, or have an empty one; arguments as of `with_fallbacks`."""
    lists = chains.groupBy("segment").agg(F.collect_list("index").alias("list"))
    joined = users.join(F.broadcast(lists), users["segment"].eqNullSafe(lists["segment"]), "left")
    left_over = F.size(F.array_except(F.coalesce("list", F.array().cast("array<int>")), F.col("seen")))
    return joined.where(left_over == 0).count()
