"""The chain for users without a vector: what is popular in their segment, then what is popular anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
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
    unseen = within_reach(users, chains, k).where(~F.array_contains("seen", F.col("index")))
    order = Window.partitionBy("user_id").orderBy("position")
    ranked = unseen.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= k)
    return ranked.select("user_id", "rank", "index", "score", "source")


def within_reach(users: DataFrame, chains: DataFrame, k: int) -> DataFrame:
    """Each user with the top of their chain that surely holds k items that they have not seen, or the whole of it.

    A chain is as deep as the longest `seen` of all needs it, so everyone meets only the pieces of it down to k items beyond
    their own.
    """

    def piece(position: Column) -> Column:
        return F.floor(position / k).cast("int")

    asking = users.withColumn("piece", F.explode(F.sequence(F.lit(0), piece(F.size("seen") + k))))
    pieces = chains.withColumn("piece", piece(F.col("position")))
    same = asking["segment"].eqNullSafe(pieces["segment"]) & (asking["piece"] == pieces["piece"])
    return asking.join(F.broadcast(pieces), same)


def without_candidates(users: DataFrame, chains: DataFrame) -> int:
    """How many users have seen everything in their chain, or have an empty one; arguments as of `with_fallbacks`."""
    lists = chains.groupBy("segment").agg(F.collect_list("index").alias("list"))
    joined = users.join(F.broadcast(lists), users["segment"].eqNullSafe(lists["segment"]), "left")
    chain = F.coalesce("list", F.array().cast("array<int>"))
    none_left = F.size(F.array_except(chain, F.col("seen"))) == 0
    return joined.where((F.size(chain) <= F.size("seen")) & none_left).count()  # a longer chain has an item left
