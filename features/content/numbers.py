"""The dense part of content: declared numbers, texts and vectors as one array of floats, each with whether it is known."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.content.columns import REFERENCE, labels_of, number_of, observed, text_of
from features.content.config import Fields, NumberField, number_fields
from features.content.fields import Number, Text, Vector
from features.content.fitted import Fitted
from features.content.normalisation import normalised
from features.content.text import terms, with_text
from features.content.vectors import with_vector
from features.quantiles import STEPS, knot, quantile

_Encoded = tuple[DataFrame, list[Column]]  # with helper columns, and the entries, of which null stands for 0


def width(fields: Fields) -> int:
    """Entries of `numbers`."""
    return sum(f.width for f in number_fields(fields))


def number_names(fields: Fields) -> list[str]:
    """What each entry of `numbers` is: price_log, price_known, title_and_text_0, ..."""
    names = []
    for f in number_fields(fields):
        entries = f.scale if isinstance(f, Number) else range(f.width - 1)
        names += [f"{f.name}_{entry}" for entry in (*entries, "known")]
    return names


def with_numbers(entities: DataFrame, fields: Fields, fitted: Fitted) -> DataFrame:
    """The rows with `numbers`, array<float> of `width` entries, in the fields' order; 0 where unknown. Never null."""
    columns, entries, df = entities.columns, [], entities
    for i, field in enumerate(number_fields(fields)):
        df, added = _encoder(field)(df, field, fitted, f"_number_{i}")
        entries.append(F.transform(F.concat(*added), lambda x: F.coalesce(x.cast("float"), F.lit(0.0).cast("float"))))
    numbers = F.concat(*entries) if entries else F.array().cast("array<float>")
    return df.select(*columns, numbers.alias("numbers"))


def _encoder(field: NumberField) -> Callable[[DataFrame, NumberField, Fitted, str], _Encoded]:
    return {Number: _number, Text: _text, Vector: _vector}[type(field)]  # type: ignore[return-value]


def _known(condition: Column) -> Column:
    return F.array(F.coalesce(condition, F.lit(False)).cast("double"))


def _number(df: DataFrame, field: Number, fitted: Fitted, helper: str) -> _Encoded:
    reference = fitted.numbers.get(REFERENCE)
    number = number_of(df, field.number, reference)
    knots = _knots(field, fitted)
    if field.by is not None:
        groups = fitted.knots(field.number, STEPS).toDF(f"{helper}_group", helper)
        df = df.join(F.broadcast(groups), F.get(labels_of(field.by), F.lit(0)) == F.col(f"{helper}_group"), "left")
        knots = F.coalesce(F.col(helper), knots)
    statistics = fitted.of(field.number)
    scaled = [quantile(number, knots) if s == "quantile" else normalised(s, number, statistics) for s in field.scale]
    return df, [F.array(*scaled), _known(observed(df, field.number, reference).isNotNull())]


def _knots(field: Number, fitted: Fitted) -> Column:
    """Over all rows; null where none was fitted."""
    knots = [fitted.numbers.get((field.number, knot(i, STEPS))) for i in range(STEPS + 1)]
    return F.lit(None).cast("array<double>") if None in knots else F.array(*[F.lit(k) for k in knots])


def _text(df: DataFrame, field: Text, fitted: Fitted, helper: str) -> _Encoded:
    projection, text = fitted.projection(field.name), text_of(field.text)
    known = _known(F.size(terms(text)) > 0)
    if projection is None:
        return df, [_zeros(field.size), known]
    return with_text(df, text, projection, helper), [F.col(helper), known]


def _vector(df: DataFrame, field: Vector, fitted: Fitted, helper: str) -> _Encoded:
    size, known = field.width - 1, _known(F.col(field.vector).isNotNull())
    if field.reduce_to is None:
        scale = fitted.numbers.get((field.vector, "root_mean_square")) or 1.0
        entries = F.transform(F.col(field.vector), lambda x: x.cast("double") / scale)
        return df, [F.coalesce(entries, _zeros(size)), known]
    projection = fitted.projection(field.name)
    if projection is None:
        return df, [_zeros(size), known]
    return with_vector(df, field, projection, helper), [F.coalesce(helper, _zeros(size)), known]


def _zeros(size: int) -> Column:
    return F.array_repeat(F.lit(0.0), size)
