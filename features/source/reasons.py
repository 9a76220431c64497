"""Why a row is refused: the names of the rules that it broke."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    MapType,
    StringType,
    StructType,
)

from features.source.raw import field, field_types

_REPLACEMENT = "\ufffd"  # what a reader puts for bytes that the encoding does not have


def any_of(conditions: Sequence[Column]) -> Column:
    """True: one of the conditions is; one that is null is not. Never null."""
    return reduce(operator.or_, [F.coalesce(condition, F.lit(False)) for condition in conditions], F.lit(False))


def reasons(rules: Sequence[tuple[str, Column]]) -> Column:
    """Names of the rules whose condition is true; a condition that is null counts as kept.

    Arrays are put together for rows that break a rule only, since most rows break none, and by array_remove: Spark compiles
    no expression with array_compact, nor any other of the same projection.
    """
    names = F.array_remove(F.array(*[F.when(condition, F.lit(name)).otherwise("") for name, condition in rules]), "")
    return F.when(any_of([condition for _, condition in rules]), names).otherwise(F.array().cast("array<string>"))


def line_reasons(raw: DataFrame, rules: Sequence[tuple[str, Column]]) -> Column:
    """`reasons`, where a line that could not be split has that one reason: its columns mean nothing."""
    whole = reasons([("encoding_broken", encoding_broken(raw)), *rules])
    return F.when(F.col("broken"), F.array(F.lit("line_broken"))).otherwise(whole)


def encoding_broken(raw: DataFrame) -> Column:
    """True: a column holds a character that stands for bytes which the declared encoding does not have."""
    texts, nested = [], []
    for name, type_ in field_types(raw).items():
        if isinstance(type_, StringType):
            texts.append(field(name))
        elif isinstance(type_, ArrayType | StructType | MapType):
            nested.append(F.to_json(F.struct(field(name))))
    found = any_of([text.contains(_REPLACEMENT) for text in texts + nested])
    return F.when(F.col("line").isNotNull(), F.col("line").contains(_REPLACEMENT)).otherwise(found)
