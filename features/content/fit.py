"""Fits what the declared content needs: everything on the training period, as rows of `statistics` and `projections`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.content.columns import REFERENCE, labels_of, observed, text_of, year_of
from features.content.config import Fields
from features.content.fields import Bucket, Number, Text, Vector
from features.content.labels import fit_distinct
from features.content.normalisation import to_fit
from features.content.projections import projection_rows
from features.content.text import fit_text
from features.content.vectors import fit_vectors, root_mean_square
from features.quantiles import STEPS, fit_quantiles
from features.scaling import fit_all


def fit_statistics(entities: DataFrame, fields: Fields, owner: str, until: int) -> DataFrame:
    """Rows of `statistics`.

    Args:
        entities: rows of items or users that the training period knows.
        owner: item_content or user_content.
        until: instant before which the data ended, in microseconds since 1970-01-01 UTC.
    """
    parts = [fit_all(entities, owner, _aggregates(entities, fields, until), until)]
    parts += _quantiles(entities, fields, owner, until)
    distinct = fit_distinct(entities, fields, owner, until)
    return reduce(DataFrame.unionByName, parts if distinct is None else [*parts, distinct])


def fit_projections(entities: DataFrame, fields: Fields, owner: str, until: int) -> list[DataFrame]:
    """Rows of `projections`, a table per field that needs one; arguments as of `fit_statistics`."""
    found = []
    for field in fields:
        projection = None
        if isinstance(field, Text):
            projection = fit_text(entities, text_of(field.text), field.size, field.terms)
        elif isinstance(field, Vector) and field.reduce_to is not None:
            projection = fit_vectors(entities, field)
        if projection is not None:
            found.append(projection_rows(entities.sparkSession, projection, owner, field.name, until))
    return found


def needs_projections(fields: Fields) -> bool:
    return any(isinstance(f, Text) or (isinstance(f, Vector) and f.reduce_to is not None) for f in fields)


def _aggregates(entities: DataFrame, fields: Fields, until: int) -> dict[tuple[str, str], Column]:
    aggregates: dict[tuple[str, str], Column] = {}
    for field in fields:
        if isinstance(field, Number):
            number = observed(entities, field.number, year_of(until))
            found = {name: a for scaling in field.scale for name, a in to_fit(scaling, number).items()}
            aggregates |= {(field.number, name): aggregate for name, aggregate in found.items()}
        elif isinstance(field, Vector) and field.reduce_to is None:
            aggregates[field.vector, "root_mean_square"] = root_mean_square(field)
    if any("age" in f.reads for f in fields) and "age" not in entities.columns:
        aggregates[REFERENCE] = F.first(F.lit(year_of(until)))
    return aggregates


def _quantiles(entities: DataFrame, fields: Fields, owner: str, until: int) -> Sequence[DataFrame]:
    """Each (column, steps) once: a scaling and a bucket may ask for the same."""
    groups: dict[tuple[str, int], str | None] = {}
    for field in fields:
        if isinstance(field, Number) and "quantile" in field.scale:
            groups[field.number, STEPS] = field.by
        elif isinstance(field, Bucket) and field.quantiles is not None:
            groups.setdefault((field.bucket, field.quantiles), None)
    return [
        fit_quantiles(
            entities, owner, column, observed(entities, column, year_of(until)), steps, until,
            None if by is None else F.get(labels_of(by), F.lit(0)),
        )
        for (column, steps), by in groups.items()
    ]  # fmt: skip
