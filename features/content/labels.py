"""Multi-hot columns of items and users: labels as they are, buckets of numbers, and crosses of both.

All columns of an entity share one list of labels in label_vocabulary, as NAME=LABEL, so that the model needs one embedding
whatever is declared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.content.columns import REFERENCE, labels_of, number_of
from features.content.config import Fields, LabelField, label_fields
from features.content.fields import Bucket, Cross
from features.content.fitted import Fitted
from features.quantiles import bucket, knot
from features.scaling import statistic_rows
from features.sequences.vocabularies import PADDING, known

_DISTINCT = "distinct"  # the statistic that decides whether a cross is hashed


def labels(entities: DataFrame, field: LabelField, fields: Fields, fitted: Fitted) -> Column:
    """The labels of one field, array<string>, never null, without NAME=.

    Args:
        fields: all of the entity: a cross may be of a declared bucket.
        fitted: edges by quantile, and how many labels the parts of a cross have.
    """
    match field:
        case Bucket():
            number = number_of(entities, field.bucket, fitted.numbers.get(REFERENCE))
            reached = bucket(number, edges(field, fitted))
            return F.array_compact(F.array(reached.cast("string")))
        case Cross():
            parts = [_part(entities, part, fields, fitted) for part in field.cross]
            size = field.size if _is_hashed(field, fields, fitted) else None
            return F.transform(_combinations(parts), lambda some: _crossed(some, size))
        case _:
            return labels_of(field.labels)


def edges(field: Bucket, fitted: Fitted) -> list[float]:
    """Declared, or fitted; none where no value of the training period was known."""
    if field.edges is not None:
        return list(field.edges)
    steps = field.buckets
    names = [(field.bucket, knot(i, steps)) for i in range(1, steps)]
    return [fitted.numbers[name] for name in names if name in fitted.numbers]


def _part(entities: DataFrame, part: str, fields: Fields, fitted: Fitted) -> Column:
    bucketed = _bucket_named(part, fields)
    return labels_of(part) if bucketed is None else labels(entities, bucketed, fields, fitted)


def _bucket_named(part: str, fields: Fields) -> Bucket | None:
    return next((f for f in fields if isinstance(f, Bucket) and f.name == part), None)


def _combinations(parts: Sequence[Column]) -> Column:
    """array<array<string>>: one label of each part, the last part's changing fastest."""
    found = F.array(F.array().cast("array<string>"))
    for part in parts:
        found = F.flatten(F.transform(found, _followed_by(part)))
    return found


def _followed_by(part: Column) -> Callable[[Column], Column]:
    return lambda some: F.transform(part, lambda label: F.concat(some, F.array(label)))


def _crossed(combination: Column, size: int | None) -> Column:
    """The labels as JSON, which no two combinations share; or hashed into `size` labels."""
    text = F.to_json(combination)
    return text if size is None else F.concat(F.lit("#"), F.pmod(F.xxhash64(text), F.lit(size)).cast("string"))


def _is_hashed(field: Cross, fields: Fields, fitted: Fitted) -> bool:
    """Whether there may be more combinations of the training period's labels than the cross has room for."""
    buckets = {part: b.buckets for part in field.cross if (b := _bucket_named(part, fields)) is not None}
    return math.prod(buckets.get(part) or fitted.numbers.get((part, _DISTINCT), 0) for part in field.cross) > field.size


def fit_distinct(entities: DataFrame, fields: Fields, owner: str, until: int) -> DataFrame | None:
    """How many labels each part of a cross has, as rows of `statistics`; None: there is no cross of labels."""
    crosses = [f for f in fields if isinstance(f, Cross)]
    parts = sorted({part for f in crosses for part in f.cross if _bucket_named(part, fields) is None})
    if not parts:
        return None
    pairs = entities.select(F.inline(F.concat(*[F.transform(labels_of(p), _of_column(p)) for p in parts]))).distinct()
    counted = pairs.groupBy("column").agg(F.count("*").alias("number"))
    return statistic_rows(counted.withColumns({"group": F.lit(""), "statistic": F.lit(_DISTINCT)}), owner, until)


def _of_column(name: str) -> Callable[[Column], Column]:
    return lambda label: F.struct(F.lit(name).alias("column"), label.alias("label"))


def _weighted(entities: DataFrame, fields: Fields, fitted: Fitted) -> Column | None:
    """The labels of all fields that are kept, array<struct<label, weight>>; None: no field makes labels.

    A column's weights add up to 1, so that its weighted sum of embeddings is their mean.
    """
    columns = []
    for field in label_fields(fields):
        kept = F.slice(labels(entities, field, fields, fitted), 1, field.kept)
        columns.append(F.transform(kept, _weigher(field.name, (F.lit(1.0) / F.size(kept)).cast("float"))))
    return F.concat(*columns) if columns else None


def _weigher(name: str, weight: Column) -> Callable[[Column], Column]:
    return lambda label: F.struct(F.concat(F.lit(f"{name}="), label).alias("label"), weight.alias("weight"))


def content_labels(entities: DataFrame, fields: Fields, fitted: Fitted) -> DataFrame | None:
    """Distinct (column, label) for label_vocabulary; the column is the owner. None: no field makes labels."""
    found = _weighted(entities, fields, fitted)
    if found is None:
        return None
    each = entities.select(F.inline(found)).select(F.lit(fitted.owner).alias("column"), "label")
    return each.distinct()


def label_indices(entities: DataFrame, key: str, fields: Fields, fitted: Fitted, vocabulary: DataFrame) -> DataFrame | None:
    """key, `labels` (array<int>) and `label_weights` (array<float>), padded, of each row with a label; None: no field.

    Args:
        vocabulary: label_vocabulary.
    """
    found = _weighted(entities, fields, fitted)
    if found is None:
        return None
    indices = vocabulary.where(F.col("column") == fitted.owner).select("label", "index")
    pairs = entities.select(key, F.posexplode(found).alias("place", "one")).select(key, "place", "one.*")
    pairs = pairs.join(indices, "label", "left").withColumn("index", known("index"))
    ordered = F.sort_array(F.collect_list(F.struct("place", "index", "weight")))
    slots = len(label_names(fields))
    return pairs.groupBy(key).agg(
        padded(ordered["index"], slots, F.lit(PADDING)).alias("labels"),
        padded(ordered["weight"], slots, F.lit(0.0).cast("float")).alias("label_weights"),
    )


def padded(values: Column, slots: int, filler: Column) -> Column:
    """An array of up to `slots` values filled up to `slots`."""
    return F.concat(values, F.array_repeat(filler, slots - F.size(values)))


def label_names(fields: Fields) -> list[str]:
    """What each entry of `labels` is of: the field's name, as often as it keeps labels."""
    return [f.name for f in label_fields(fields) for _ in range(f.kept)]
