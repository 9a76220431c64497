"""What the model reads of each item of the vocabulary and of each user: declared content, encoded and scaled."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from features.content.config import Fields, has_categories
from features.content.fitted import Fitted
from features.content.labels import label_indices, label_names, padded
from features.content.numbers import width, with_numbers
from features.sequences.vocabularies import FIRST, PADDING, known


def item_content(content: DataFrame, events: DataFrame) -> DataFrame:
    """The rows of item_content: those of `encoded_items`, each with the events of the training split."""
    trained = events.where(F.col("split") == "train").groupBy("item_id").agg(F.count("*").alias("train_events"))
    return content.join(trained, "item_id", "left").withColumn(
        "train_events", F.coalesce("train_events", F.lit(0).cast("bigint"))
    )


def encoded_items(
    items: DataFrame, indices: DataFrame, labels: DataFrame, fields: Fields, fitted: Fitted, max_categories: int
) -> DataFrame:
    """`index`, `item_id`, `categories`, `numbers`, `labels` and `label_weights` of each index of the item vocabulary.

    Padding and unknown have zeros, and so has an item that the catalogue lacks.

    Args:
        items: the catalogue.
        indices: item_vocabulary.
        labels: label_vocabulary.
        fields: what the item tower reads.
        fitted: owner item_content, with the numbers to scale by.
        max_categories: slots of categories, where `fields` has them.
    """
    slots = max_categories if has_categories(fields) else 0
    content = _encoded(items, "item_id", fields, fitted, labels)
    if slots:
        content = content.join(_category_indices(items, labels, slots), "item_id", "left")
    rows = _reserved(items.sparkSession).unionByName(indices).join(content, "item_id", "left")
    return _filled(rows, ("index", "item_id"), _empty(fields) | {"categories": _zeros(slots, "int")})


def user_content(users: DataFrame, labels: DataFrame, fields: Fields, fitted: Fitted) -> DataFrame:
    """The rows of user_content: `user_id`, `numbers`, `labels` and `label_weights` of each user, known or new."""
    content = _encoded(users, "user_id", fields, fitted, labels)
    return _filled(content, ("user_id",), _empty(fields))


def with_user_content(rows: DataFrame, content: DataFrame | None, fields: Fields) -> DataFrame:
    """Adds `user_numbers`, `user_labels` and `user_label_weights`: zeros for a user without a row, empty without `fields`.

    Args:
        rows: with `user_id`.
        content: rows of user_content; None where `fields` are none.
    """
    empty = {f"user_{name}": zero for name, zero in _empty(fields).items()}
    if content is not None:
        renamed = [F.col(name.removeprefix("user_")).alias(name) for name in empty]
        return _filled(rows.join(content.select("user_id", *renamed), "user_id", "left"), rows.columns, empty)
    return _filled(rows, rows.columns, empty)


def _encoded(entities: DataFrame, key: str, fields: Fields, fitted: Fitted, vocabulary: DataFrame) -> DataFrame:
    """key, `numbers`, and where a field makes labels, `labels` and `label_weights`: null in rows without a label."""
    numbers = with_numbers(entities, fields, fitted).select(key, "numbers")
    labels = label_indices(entities, key, fields, fitted, vocabulary)
    return numbers if labels is None else numbers.join(labels, key, "left")


def _empty(fields: Fields) -> dict[str, Column]:
    """What stands for nothing."""
    slots = len(label_names(fields))
    return {
        "numbers": _zeros(width(fields), "float"),
        "labels": _zeros(slots, "int"),
        "label_weights": _zeros(slots, "float"),
    }


def _zeros(entries: int, type_: str) -> Column:
    return F.array_repeat(F.lit(0).cast(type_), entries)


def _filled(rows: DataFrame, keys: Sequence[str], empty: dict[str, Column]) -> DataFrame:
    filled = [(F.coalesce(name, zero) if name in rows.columns else zero).alias(name) for name, zero in empty.items()]
    return rows.select(*keys, *filled)


def _reserved(spark: SparkSession) -> DataFrame:
    """Padding and unknown, whose item_id is that of no item."""
    return spark.range(FIRST).select(F.lit("").alias("item_id"), F.col("id").cast("int").alias("index"))


def _category_indices(items: DataFrame, labels: DataFrame, slots: int) -> DataFrame:
    """item_id and `categories`: the indices of its first categories, padded to `slots`."""
    indices = labels.where(F.col("column") == "categories").select("label", "index")
    places = items.select("item_id", F.posexplode(F.slice("categories", 1, slots)).alias("place", "label"))
    pairs = places.join(indices, "label", "left").withColumn("index", known("index"))
    ordered = F.sort_array(F.collect_list(F.struct("place", "index")))
    return pairs.groupBy("item_id").agg(padded(ordered["index"], slots, F.lit(PADDING)).alias("categories"))
