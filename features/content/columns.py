"""Columns of `items` and `users` by the names that content declares them by."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.content.fields import attribute_of
from features.source.values import as_number

_YEAR = 365.2425 * 86400 * 1e6  # microseconds
REFERENCE = ("age", "reference_year")  # the fitted number that an item's age is counted from


def year_of(instant: int) -> float:
    """An instant in microseconds since 1970-01-01 UTC as a year with fraction."""
    return 1970 + instant / _YEAR


def number_of(entities: DataFrame, column: str, reference_year: float | None) -> Column:
    """A number as double, as it was given or imputed; null where it is missing.

    Args:
        entities: items or users.
        reference_year: from which the age of an item is counted, in years, 0 for what is yet to come; None: has no age.
    """
    attribute = attribute_of(column)
    if attribute is not None:
        return as_number(F.col("attributes")[attribute])
    if not _is_age_of_items(entities, column):
        return F.col(column).cast("double")
    years = F.lit(reference_year).cast("double") - F.col("year")
    return F.when(years.isNotNull(), F.greatest(F.lit(0.0), years))  # greatest skips nulls


def observed(entities: DataFrame, column: str, reference_year: float | None) -> Column:
    """The same, null where it was imputed: what is fitted on."""
    number = number_of(entities, column, reference_year)
    if attribute_of(column) is not None:
        return number
    flag = "year" if _is_age_of_items(entities, column) else column
    return F.when(~F.col(f"{flag}_imputed"), number)


def _is_age_of_items(entities: DataFrame, column: str) -> bool:
    return column == "age" and "age" not in entities.columns


def labels_of(column: str) -> Column:
    """Labels as array<string>, empty where there are none, never null."""
    attribute = attribute_of(column)
    if attribute is None and column in ("categories", "tags"):
        return F.col(column)
    return F.array_compact(F.array(F.col(column) if attribute is None else F.col("attributes")[attribute]))


def text_of(columns: tuple[str, ...]) -> Column:
    """The columns' texts as one, never null."""
    texts = [F.col(c) if (a := attribute_of(c)) is None else F.col("attributes")[a] for c in columns]
    return F.concat_ws(" ", *texts)
