"""From raw text to typed values. Nothing raises on bad data: what cannot be read is null, and a rule says why.

A raw frame (see jobs/runtime/sources.py) has the columns file, block, row, file_day, line, broken and `fields`, a struct of
the source's own columns. A parsed frame has typed columns and `reasons`, the rules that the row broke; empty: none.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping as MappingType
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DateType,
    FractionalType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from features.source_config import EventSource, FileSource, ItemSource, Mapping, TagSource, Time, UserSource

PLACE = ("file", "block", "row")  # source order: by it ties and duplicates are decided
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"  # a cast would also take 1d, 0x1p3, NaN and Infinity
_DAY_FIRST = r"^\d{4}-\d{2}-\d{2}"  # a cast would also take 12:30, as a time of today
_LOCAL_TIME = _DAY_FIRST + r"([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)?$"  # ISO 8601 without zone or offset
_REPLACEMENT = "\ufffd"  # what a reader puts for bytes that the encoding does not have
_TRUE = ("1", "1.0", "true", "t", "yes")


def mapped_columns(source: FileSource) -> tuple[str, ...]:
    """The source's own columns that its configuration names, each once."""
    names: list[str] = []
    if isinstance(source, EventSource | ItemSource | TagSource | UserSource):
        for mapping in source.columns.values():
            names += [mapping.from_] if isinstance(mapping.from_, str) else mapping.from_
    if isinstance(source, ItemSource | UserSource):
        names += source.attributes
    if isinstance(source, EventSource):
        names += source.context
    return tuple(dict.fromkeys(names))


def field(name: str) -> Column:
    """A column of the source, under whatever name it has there."""
    return F.col(f"fields.`{name.replace('`', '``')}`")


def field_types(raw: DataFrame) -> dict[str, DataType]:
    """Type of each column of the source."""
    fields = raw.schema["fields"].dataType
    assert isinstance(fields, StructType)  # noqa: S101  # by the definition of a raw frame
    return {f.name: f.dataType for f in fields.fields}


class Reader:
    """Typed columns of one raw frame by the mapping of its source."""

    def __init__(self, raw: DataFrame, columns: MappingType[str, Mapping]) -> None:
        self.types, self.columns = field_types(raw), columns

    def has(self, name: str) -> bool:
        return name in self.columns

    def text(self, name: str) -> Column:
        """Text without blanks around it; null: not mapped, blank, or without the mapping's pattern."""
        if name not in self.columns:
            return F.lit(None).cast("string")
        mapping = self.columns[name]
        first = mapping.from_ if isinstance(mapping.from_, str) else mapping.from_[0]
        column = field(first)
        if isinstance(self.types[first], FractionalType):
            column = F.when(~F.isnan(column.cast("double")), column)  # how pandas writes a missing number
        text = _trimmed(column.cast("string"))
        if mapping.pattern is not None:
            text = F.regexp_extract(text, mapping.pattern, 1)
        return F.nullif(text, F.lit(""))

    def number(self, name: str) -> Column:
        """Finite double; null: missing or malformed."""
        return as_number(self.text(name))

    def list(self, name: str) -> Column:
        """Array of texts in source order, none twice; empty: missing.

        Made of indicator columns, of a text with separators, of a JSON array, or of an array.
        """
        if name not in self.columns:
            return F.array().cast("array<string>")
        mapping = self.columns[name]
        if not isinstance(mapping.from_, str):
            chosen = [F.when(F.lower(F.btrim(field(c).cast("string"))).isin(*_TRUE), F.lit(c)) for c in mapping.from_]
            return F.array_compact(F.array(*chosen))
        if isinstance(self.types[mapping.from_], ArrayType):
            parts = field(mapping.from_).cast("array<string>")
        elif mapping.split is not None:
            parts = F.split(self.text(name), re.escape(mapping.split))
        else:
            text = self.text(name)
            parts = F.coalesce(F.when(text.startswith("["), F.from_json(text, "array<string>")), F.array(text))
        trimmed = F.transform(F.coalesce(parts, F.array().cast("array<string>")), _trimmed)
        return F.array_distinct(F.filter(trimmed, lambda part: part != ""))

    def time(self, name: str, time: Time) -> Column:
        """Instant; null: missing or malformed."""
        mapping = self.columns[name]
        assert isinstance(mapping.from_, str)  # noqa: S101  # the configuration refuses several columns for one value
        return as_time(field(mapping.from_), self.text(name), self.types[mapping.from_], time)


def _trimmed(text: Column) -> Column:
    return F.btrim(text, F.lit(" \t\r\n"))


def as_number(text: Column) -> Column:
    """Finite double; null: no such number."""
    number = F.when(text.rlike(_NUMBER), text.try_cast("double"))
    return F.when(F.abs(number) != float("inf"), number)


def as_time(column: Column, text: Column, type_: DataType, time: Time) -> Column:
    """Instant of a typed column, or of its text by the declared unit.

    A local time that daylight saving skips is read as if clocks had not changed yet (02:30 becomes 03:30 summer time);
    one that comes twice is the first of the two.
    """
    if isinstance(type_, TimestampType):
        return column
    if isinstance(type_, TimestampNTZType | DateType):
        return F.to_utc_timestamp(column.cast("timestamp"), time.zone)  # the session's zone is UTC
    if time.unit == "text":
        return _text_time(text, time)
    if time.unit == "order":
        start = F.lit(datetime.datetime.combine(time.start, datetime.time(), datetime.UTC))
        micros = F.unix_micros(start) + as_whole(text, time.step_seconds * 1_000_000)
        return F.timestamp_micros(micros)
    return F.timestamp_micros(as_whole(text, {"s": 1_000_000, "ms": 1_000, "us": 1}[time.unit]))


def as_whole(text: Column, factor: int) -> Column:
    """A decimal text times `factor`, as bigint; null: no number, or out of the range of dates (years 1 to 9999)."""
    number = F.when(text.rlike(_NUMBER), text.try_cast("decimal(24,6)"))
    whole = F.try_multiply(number, F.lit(factor).cast("decimal(14,0)"))
    return F.when(whole.between(-62_135_596_800_000_000, 253_402_300_799_999_999), whole).try_cast("bigint")


def _text_time(text: Column, time: Time) -> Column:
    if time.format is not None:
        parsed = F.try_to_timestamp(text, F.lit(time.format))
        unquoted = re.sub(r"'[^']*'", "", time.format)
        return parsed if re.search("[VzOXxZ]", unquoted) else F.to_utc_timestamp(parsed, time.zone)
    iso = F.when(text.rlike(_DAY_FIRST), F.replace(text, F.lit(","), F.lit(".")).try_cast("timestamp"))
    return F.when(text.rlike(_LOCAL_TIME), F.to_utc_timestamp(iso, time.zone)).otherwise(iso)


def raw_text() -> Column:
    """The row as it goes to quarantine: the line where it was kept, else JSON of the source's columns."""
    return F.coalesce(F.col("line"), F.to_json("fields"))


def encoding_broken(raw: DataFrame) -> Column:
    """True: a column holds a character that stands for bytes which the declared encoding does not have."""
    return raw_text().contains(_REPLACEMENT)


def reasons(rules: Sequence[tuple[str, Column]]) -> Column:
    """Names of the rules whose condition is true; a condition that is null counts as kept."""
    return F.array_compact(F.array(*[F.when(condition, F.lit(name)) for name, condition in rules]))


def line_reasons(raw: DataFrame, rules: Sequence[tuple[str, Column]]) -> Column:
    """`reasons`, where a line that could not be split has that one reason: its columns mean nothing."""
    whole = reasons([("encoding_broken", encoding_broken(raw)), *rules])
    return F.when(F.col("broken"), F.array(F.lit("line_broken"))).otherwise(whole)


def text_map(names: Sequence[str]) -> Column:
    """Map of the source's columns, without those that are blank."""
    pairs = [
        F.struct(F.lit(n).alias("key"), F.nullif(F.btrim(field(n).cast("string")), F.lit("")).alias("value")) for n in names
    ]
    if not pairs:
        return F.create_map().cast("map<string,string>")
    return F.map_from_entries(F.filter(F.array(*pairs), lambda pair: pair["value"].isNotNull()))


def parse_events(raw: DataFrame, source: EventSource, earliest: datetime.date, now: datetime.datetime) -> DataFrame:
    """Events with types and `reasons`; rules that look at one row only.

    Args:
        earliest: an event before this day, UTC, is refused.
        now: an event after this instant is refused.
    Returns:
        PLACE, file_day, raw (text), event_id (the source's; null: none), user_id, item_id, event_type, value, event_time,
        session_id, context, reasons.
    """
    read = Reader(raw, source.columns)
    typed = raw.select(
        *PLACE, "file_day", "line", "broken", "fields",
        read.text("event_id").alias("event_id"),
        read.text("user_id").alias("user_id"),
        read.text("item_id").alias("item_id"),
        (read.text("event_type") if read.has("event_type") else F.lit(source.event_type)).alias("event_type"),
        read.number("value").alias("value"),
        read.time("event_time", source.time).alias("event_time"),
        read.text("session_id").alias("session_id"),
        text_map(source.context).alias("context"),
    )  # fmt: skip
    rules = [(f"{name}_missing", F.col(name).isNull()) for name in ("user_id", "item_id", "event_type")] + [
        ("event_time_missing", read.text("event_time").isNull()),
        ("event_time_malformed", read.text("event_time").isNotNull() & F.col("event_time").isNull()),
        ("event_time_early", F.col("event_time") < F.lit(datetime.datetime.combine(earliest, datetime.time(), datetime.UTC))),
        ("event_time_future", F.col("event_time") > F.lit(now)),
        ("value_malformed", read.text("value").isNotNull() & F.col("value").isNull()),
    ]
    if source.event_types is not None:
        rules.append(("event_type_unknown", ~F.col("event_type").isin(*source.event_types)))
    known = typed.withColumns({"reasons": line_reasons(raw, rules), "raw": raw_text()})
    return known.drop("line", "broken", "fields")
