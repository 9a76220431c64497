"""The typed columns of a raw frame, by the mapping of its source."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from functools import reduce
from types import UnionType

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    FractionalType,
    IntegralType,
    MapType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from features.source.config import FileSource, Mapping, Time
from features.source.raw import FILE, field, field_types
from features.source.reasons import any_of
from features.source.values import as_number, as_text, as_time, finite, trimmed

_TRUE = ("1", "1.0", "true", "t", "yes")
_FALSE = ("0", "0.0", "false", "f", "no")


def rows_to_read(raw: DataFrame, source: FileSource) -> DataFrame:
    """Without the rows that `where` leaves out; a line that could not be split stays, as nobody can tell what it is about."""
    read = Reader(raw, {}, source.missing)
    wanted = [read.is_one_of(name, texts) for name, texts in source.where.items()]
    return raw.where(F.col("broken") | reduce(operator.and_, wanted)) if wanted else raw


class Reader:
    """Typed columns of one raw frame by the mapping of its source. What is `missing` there is null, of whatever type."""

    def __init__(self, raw: DataFrame, columns: MappingType[str, Mapping], missing: Sequence[str] = ()) -> None:
        self.types, self.columns, self.missing = field_types(raw) | {FILE: StringType()}, columns, missing

    def has(self, name: str) -> bool:
        return name in self.columns

    def text(self, name: str) -> Column:
        """Text without blanks around it; null: not mapped, blank, or without the mapping's pattern."""
        if name not in self.columns:
            return F.lit(None).cast("string")
        mapping = self.columns[name]
        return self._text_of(mapping.from_ if isinstance(mapping.from_, str) else mapping.from_[0], mapping)

    def _text_of(self, column: str, mapping: Mapping) -> Column:
        text = trimmed(as_text(self._field(column), self.types[column]))
        if mapping.pattern is not None:
            text = F.regexp_extract(text, mapping.pattern, 1)
        return F.nullif(text, F.lit(""))

    def number(self, name: str) -> Column:
        """Finite double; null: missing or malformed. A typed boolean is 1 or 0."""
        column = self._typed(name, NumericType | BooleanType)
        return as_number(self.text(name)) if column is None else finite(column.cast("double"))

    def is_missing(self, name: str) -> Column:
        """True: `text` is null. A typed column tells so without being written out as text."""
        column = self._typed(name, NumericType | TimestampType | TimestampNTZType | DateType)
        if column is None:
            return self.text(name).isNull()
        return column.isNull() | F.isnan(column) if self._typed(name, FractionalType) is not None else column.isNull()

    def untyped_text(self, name: str) -> Column:
        """`text`; null where the source types the column as a time."""
        typed = self._typed(name, TimestampType | TimestampNTZType | DateType)
        return self.text(name) if typed is None else F.lit(None).cast("string")

    def _typed(self, name: str, kind: type[DataType] | UnionType) -> Column | None:
        """The column as the source types it; None: it is of another kind, or only a part of it is meant."""
        mapping = self.columns.get(name)
        if mapping is None or mapping.pattern is not None or not isinstance(mapping.from_, str):
            return None
        return self._field(mapping.from_) if isinstance(self.types[mapping.from_], kind) else None

    def _field(self, name: str) -> Column:
        """A column of the source, null where it says `missing`; a list or an object as a whole does not."""
        column, type_ = _file_name() if name == FILE else field(name), self.types[name]
        if not self.missing or isinstance(type_, ArrayType | StructType | MapType):
            return column
        return F.when(~trimmed(as_text(column, type_)).isin(*self.missing), column)

    def is_one_of(self, name: str, texts: Sequence[str]) -> Column:
        """True: the source's column `name` says one of the texts, of which the empty one stands for what is missing."""
        return F.coalesce(trimmed(as_text(self._field(name), self.types[name])), F.lit("")).isin(*texts)

    def list(self, name: str) -> Column:
        """`parts`, none twice and none that is missing."""
        parts = F.array_distinct(self.parts(name))
        return F.filter(parts, lambda part: ~part.isin(*self.missing)) if self.missing else parts

    def parts(self, name: str) -> Column:
        """Array of texts in source order; empty: missing.

        Made of indicator columns, or of the texts with separators, the JSON arrays or the arrays of one or several columns.
        """
        mapping = self.columns.get(name)
        if mapping is None:
            return F.array().cast("array<string>")
        if isinstance(mapping.from_, str):
            return self._parts_of(mapping.from_, mapping)
        if mapping.take == "values":
            return F.flatten(F.array(*[self._parts_of(column, mapping) for column in mapping.from_]))
        return F.array_compact(F.array(*[F.when(self._indicator(c).isin(*_TRUE), F.lit(c)) for c in mapping.from_]))

    def has_unclear_indicator(self, name: str) -> Column:
        """True: one of the indicator columns says something that is neither true nor false."""
        mapping = self.columns.get(name)
        if mapping is None or isinstance(mapping.from_, str) or mapping.take == "values":
            return F.lit(False)
        return any_of([~self._indicator(column).isin("", *_TRUE, *_FALSE) for column in mapping.from_])

    def _indicator(self, column: str) -> Column:
        return F.lower(trimmed(as_text(self._field(column), self.types[column])))

    def _parts_of(self, column: str, mapping: Mapping) -> Column:
        type_ = self.types[column]
        if isinstance(type_, ArrayType):
            # NaN stays as text, so that a vector with it is malformed and not shorter.
            parts = F.transform(field(column), lambda p: F.coalesce(as_text(p, type_.elementType), p.cast("string")))
        elif mapping.split is not None:
            parts = F.split(self._text_of(column, mapping), re.escape(mapping.split))
        else:
            text = self._text_of(column, mapping)
            parts = F.coalesce(F.when(text.startswith("["), F.from_json(text, "array<string>")), F.array(text))
        texts = F.transform(F.coalesce(parts, F.array().cast("array<string>")), trimmed)
        return F.filter(texts, lambda part: part != "")

    def text_map(self, names: Sequence[str]) -> Column:
        """Map of the source's columns `names`, without those that are blank."""
        if not names:
            return F.create_map().cast("map<string,string>")
        keys = [F.lit(name) for name in names]
        values = [F.nullif(F.btrim(as_text(self._field(name), self.types[name])), F.lit("")) for name in names]
        pairs = [F.struct(key.alias("key"), value.alias("value")) for key, value in zip(keys, values, strict=True)]
        filled = F.map_from_entries(F.filter(F.array(*pairs), lambda pair: pair["value"].isNotNull()))
        whole = F.create_map(*[column for pair in zip(keys, values, strict=True) for column in pair])
        return F.when(any_of([value.isNull() for value in values]), filled).otherwise(whole)  # compiled, unlike `filled`

    def time(self, name: str, time: Time) -> Column:
        """Instant; null: missing or malformed."""
        mapping = self.columns[name]
        assert isinstance(mapping.from_, str)  # noqa: S101  # the configuration refuses several columns for one value
        type_ = self.types[mapping.from_]
        if mapping.pattern is not None and isinstance(type_, IntegralType):  # only a part of the number's text is meant
            type_ = StringType()
        return as_time(self._field(mapping.from_), self.text(name), type_, time)


def _file_name() -> Column:
    return F.url_decode(F.replace("file", F.lit("+"), F.lit("%2B")))  # of a URI, where + means itself
