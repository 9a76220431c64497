"""What values items get, and which others the same users give values like theirs."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.scaling import scale, z_scores
from features.sequences_config import ItemValues

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
    left = _without_biases(_values(events, items, statistics, config)).persist()
    biases = left.groupBy("index").agg(F.count("*").alias("values"), (F.first("bias") / _ONE).alias("bias"))
    neighbours = _neighbours(_pairs(left, config.history), items, config)
    listed = biases.join(items.select("item_id", "index"), "index").join(neighbours, "index", "left")
    none = F.array().cast(neighbours.schema["neighbours"].dataType)
    return listed.select("item_id", "index", "values", "bias", F.coalesce("neighbours", none).alias("neighbours"))


def _values(events: DataFrame, items: DataFrame, statistics: DataFrame, config: ItemValues) -> DataFrame:
    """`user_id`, `index`, `last` (what orders a user's values) and `z`, the value's z-score in whole parts of _ONE."""
    fitted = z_scores(statistics, "sequences")
    wanted = events.where(F.col("value").isNotNull() & F.lit("value" in fitted and config.top > 0))
    z = F.round(scale("value", fitted) * _ONE).cast("bigint")
    newest = F.max(F.struct("event_time", "tie_order", z.alias("z"))).alias("last")
    once = wanted.groupBy("user_id", "item_id").agg(newest).join(items.select("item_id", "index"), "item_id")
    return once.select("user_id", "index", "last", F.col("last.z").alias("z"))


def _without_biases(values: DataFrame) -> DataFrame:
    """`user_id`, `index`, `last`, `bias` of the item, and `residual`, what is left of the value; both in parts of _ONE."""

    def mean(column: str) -> Column:
        return F.sum(column) / (F.count("*") + DAMPING)

    # Rows of an item are many, and are added up before they are brought together; those of a user are few.
    centred = values.join(values.groupBy("index").agg(mean("z").alias("bias")), "index")
    centred = centred.withColumn("r", F.round(F.col("z") - F.col("bias")).cast("bigint"))
    users = centred.groupBy("user_id").agg(mean("r").alias("of_user"))
    residual = F.round(F.col("r") - F.col("of_user")).cast("int")
    return centred.join(users, "user_id").select("user_id", "index", "last", "bias", residual.alias("residual"))


def _pairs(left: DataFrame, history: int) -> DataFrame:
    """Of items a < b that a user has given values, among the newest: `a`, `b`, `users`, and sums of `product` and squares."""
    order = Window.partitionBy("user_id").orderBy(F.desc("last"), "index")
    newest = left.withColumn("place", F.row_number().over(order)).where(F.col("place") <= history)
    lists = newest.groupBy("user_id").agg(F.sort_array(F.collect_list(F.struct("index", "residual"))).alias("all"))
    later = F.slice("all", F.col("at") + 2, F.size("all"))
    pairs = lists.select(F.posexplode("all").alias("at", "one"), "all").select("one", F.explode(later).alias("other"))
    r, s = F.col("one.residual").cast("bigint"), F.col("other.residual").cast("bigint")
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
