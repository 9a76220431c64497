"""What the item tower reads of each item of the vocabulary: categories as indices, price and year as z-scores."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from features.scaling import scale, z_scores
from features.vocabularies import FIRST, PADDING, Vocabularies, known

NUMBERS = ("price", "year")  # each gives two entries of `numbers`: its z-score, and whether it was known


def observed_numbers(items: DataFrame) -> DataFrame:
    """item_id with price and year, null where missing or imputed: what z-scores are fitted on."""
    return items.select("item_id", *[F.when(_observed(n), F.col(n)).alias(n) for n in NUMBERS])


def _observed(name: str) -> Column:
    return F.col(name).isNotNull() & ~F.col(f"{name}_imputed")


def _category_indices(items: DataFrame, vocabularies: Vocabularies, slots: int) -> DataFrame:
    """item_id and `categories`: the indices of its first categories, padded to `slots`."""
    labels = vocabularies.labels.where(F.col("column") == "categories").select("label", "index")
    places = items.select("item_id", F.posexplode(F.slice("categories", 1, slots)).alias("place", "label"))
    pairs = places.join(labels, "label", "left").withColumn("index", known("index"))
    ordered = F.array_sort(F.collect_list(F.struct("place", "index")))
    return pairs.groupBy("item_id").agg(_padded(ordered["index"], slots).alias("categories"))


def _padded(indices: Column, slots: int) -> Column:
    return F.concat(indices, F.array_repeat(F.lit(PADDING), slots - F.size(indices)))


def item_content(
    items: DataFrame, events: DataFrame, vocabularies: Vocabularies, statistics: DataFrame, max_categories: int
) -> DataFrame:
    """The rows of item_content: one per index of the item vocabulary, and zeros for padding and unknown.

    Args:
        items: the catalogue; an item that it lacks has no categories and no numbers.
        events: with `split`.
        statistics: holds the z-scores of owner item_content.
    """
    fitted = z_scores(statistics, "item_content")
    numbers = [c for n in NUMBERS for c in (scale(n, fitted), F.coalesce(_observed(n), F.lit(False)).cast("float"))]
    trained = events.where(F.col("split") == "train").groupBy("item_id").agg(F.count("*").alias("train_events"))
    rows = (
        vocabularies.items.join(items.drop("categories"), "item_id", "left")
        .join(_category_indices(items, vocabularies, max_categories), "item_id", "left")
        .join(trained, "item_id", "left")
        .select(
            "index",
            "item_id",
            F.coalesce("categories", F.array_repeat(F.lit(PADDING), max_categories)).alias("categories"),
            F.array(*numbers).alias("numbers"),
            F.coalesce("train_events", F.lit(0).cast("bigint")).alias("train_events"),
        )
    )
    return _zeros(items.sparkSession, max_categories).unionByName(rows)


def _zeros(spark: SparkSession, max_categories: int) -> DataFrame:
    """The rows of padding and unknown."""
    return spark.range(FIRST).select(
        F.col("id").cast("int").alias("index"),
        F.lit("").alias("item_id"),
        F.array_repeat(F.lit(PADDING), max_categories).alias("categories"),
        F.array_repeat(F.lit(0.0).cast("float"), 2 * len(NUMBERS)).alias("numbers"),
        F.lit(0).cast("bigint").alias("train_events"),
    )
