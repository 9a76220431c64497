"""What values items get, and which others the same users give values like theirs."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.scaling import scored_values
from features.sequences.config import ItemValues

DAMPING = 5  # values of the mean that are added to those of an item or a user: one value alone says little
_ONE = 1024  # what a standard deviation counts for: sums of whole numbers are the same in whatever order


def item_values(events: DataFrame, items: DataFrame, statistics: DataFrame, config: ItemValues) -> DataFrame:
    """The rows of `item_values`: one per item that users have given a value, none where the source has no explicit values.

    similarity(a, b) = sum r_ua r_ub / sqrt(sum r_ua^2 sum r_ub^2) * n_ab / (n_ab + shrinkage), over the n_ab users u who have
    given both a value: the correlation of what is left of the values, as z-scores, once the item's bias and then the user's
    are taken off. Only the newest `history` values of a user count towards it. Of those above 0 the `top` highest are kept,
    ties by index.

    Args:
        events: user_id, item_id, value, event_time, tie_order; of the training period. Of several values that a user gave an
            item the newest counts.
        items: item_vocabulary.
        statistics: with the owner `sequences`.
    Reference: Koren 2010, https://doi.org/10.1145/1644873.1644874, for biases and shrunk correlations
    """
    values = _values(events, items, statistics, config).persist()
    biases = values.groupBy("index").agg(F.count("*").alias("values"), _damped(F.sum("z"), F.count("*")).alias("bias"))
    neighbours = _neighbours(_pairs(_left(values.join(biases, "index"), config.history)), items, config)
    listed = biases.withColumn("bias", F.col("bias") / _ONE).join(items.select("item_id", "index"), "index")
    none = F.array().cast(neighbours.schema["neighbours"].dataType)
    rows = listed.join(neighbours, "index", "left").withColumn("neighbours", F.coalesce("neighbours", none))
    return rows.select("item_id", "index", "values", "bias", "neighbours")


def _damped(total: Column, count: Column) -> Column:
    return total / (count + DAMPING)


def _values(events: DataFrame, items: DataFrame, statistics: DataFrame, config: ItemValues) -> DataFrame:
    """`user_id`, `index`, `last` (what orders a user's values) and `z`, the value's z-score in whole parts of _ONE."""
    wanted = scored_values(events, statistics).where(F.lit(config.top > 0))
    z = F.round(F.col("z") * _ONE).cast("bigint")
    newest = F.max(F.struct("event_time", "tie_order", z.alias("z"))).alias("last")
    once = wanted.groupBy("user_id", "item_id").agg(newest).join(items.select("item_id", "index"), "item_id")
    return once.select("user_id", "index", "last", F.col("last.z").alias("z"))


def _left(values: DataFrame, history: int) -> DataFrame:
    """`left`, an array per user: of the newest values `index` and `residual`, what is left without biases, by index."""
    centred = values.withColumn("r", F.round(F.col("z") - F.col("bias")).cast("bigint"))
    newest_first = F.sort_array(F.collect_list(F.struct("last", "index", "r")), asc=False)
    of_user = centred.groupBy("user_id").agg(newest_first.alias("all"), _damped(F.sum("r"), F.count("*")).alias("bias"))

    def residual(value: Column) -> Column:
        return F.struct(value["index"].alias("index"), F.round(value["r"] - F.col("bias")).cast("bigint").alias("residual"))

    return of_user.select(F.sort_array(F.transform(F.slice("all", 1, history), residual)).alias("left"))


def _pairs(left: DataFrame) -> DataFrame:
    """Of items a < b that a user has given values: `a`, `b`, `users`, and sums of `product` and squares of what is left."""
    later = F.slice("left", F.col("at") + 2, F.size("left"))
    pairs = left.select(F.posexplode("left").alias("at", "one"), "left").select("one", F.explode(later).alias("other"))
    r, s = F.col("one.residual"), F.col("other.residual")
    return pairs.groupBy(F.col("one.index").alias("a"), F.col("other.index").alias("b")).agg(
        F.count("*").alias("users"), F.sum(r * s).alias("product"), F.sum(r * r).alias("aa"), F.sum(s * s).alias("bb")
    )


def _neighbours(pairs: DataFrame, items: DataFrame, config: ItemValues) -> DataFrame:
    """`index` and `neighbours`, the most similar first."""
    users = F.col("users")
    similarity = F.col("product") / F.sqrt(F.col("aa").cast("double") * F.col("bb")) * users / (users + config.shrinkage)
    alike = pairs.where("product > 0").select("a", "b", "users", similarity.alias("similarity"))
    ways = [F.struct(F.col(one).alias("index"), F.col(other).alias("neighbour")) for one, other in ("ab", "ba")]
    both = alike.select(F.inline(F.array(*ways)), "users", "similarity")
    order = Window.partitionBy("index").orderBy(F.desc("similarity"), "neighbour")
    best = both.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= config.top)
    named = best.join(items.select(F.col("index").alias("neighbour"), "item_id"), "neighbour")
    entry = F.struct("rank", "item_id", F.col("neighbour").alias("index"), "users", "similarity")
    ranked = named.groupBy("index").agg(F.sort_array(F.collect_list(entry)).alias("ranked"))
    without_rank = F.transform("ranked", lambda entry: entry.dropFields("rank"))
    return ranked.select("index", without_rank.alias("neighbours"))
