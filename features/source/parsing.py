"""From raw text to typed values. Nothing raises on bad data: what cannot be read is null, and a rule says why.

A raw frame (see jobs/runtime/sources.py) has the columns file, block, row, file_day, line, broken and `fields`, a struct of
the source's own columns. A parsed frame has typed columns and `reasons`, the rules that the row broke; empty: none.
"""

from __future__ import annotations

import datetime
import operator
import re
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingType
from functools import reduce
from types import UnionType

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    FloatType,
    FractionalType,
    IntegralType,
    MapType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from features.source.config import EventSource, FileSource, ItemSource, Mapping, TagSource, Time, UserSource

FILE = "_file"  # as a column of the source: the name of the row's file, below the folder that all its files have in common
SOURCE_ORDER = ("file", "block", "row")  # source order: by it ties and duplicates are decided
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"  # a cast would also take 1d, 0x1p3, NaN and Infinity
_DAY_FIRST = r"^\d{4}-\d{2}-\d{2}"  # a cast would also take 12:30, as a time of today
_LOCAL_TIME = _DAY_FIRST + r"([T ][\d:.,]*)?$"  # a zone or an offset has a letter, + or -
_REPLACEMENT = "\ufffd"  # what a reader puts for bytes that the encoding does not have
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
_TRUE = ("1", "1.0", "true", "t", "yes")
_FALSE = ("0", "0.0", "false", "f", "no")


def mapped_columns(source: FileSource) -> tuple[str, ...]:
    """The source's own columns that its configuration names, each once; FILE is none of them."""
    names: list[str] = [*source.where]
    if isinstance(source, EventSource | ItemSource | TagSource | UserSource):
        for mapping in source.columns.values():
            names += [mapping.from_] if isinstance(mapping.from_, str) else mapping.from_
    if isinstance(source, ItemSource | UserSource):
        names += source.attributes
    if isinstance(source, EventSource):
        names += source.context
    return tuple(name for name in dict.fromkeys(names) if name != FILE)


def quoted(name: str) -> str:
    """A column's name in an expression, whatever characters it has."""
    return f"`{name.replace('`', '``')}`"


def field(name: str) -> Column:
    """A column of the source, under whatever name it has there."""
    return F.col(f"fields.{quoted(name)}")


def _file_name() -> Column:
    return F.url_decode(F.replace("file", F.lit("+"), F.lit("%2B")))  # of a URI, where + means itself


def field_types(raw: DataFrame) -> dict[str, DataType]:
    """Type of each column of the source."""
    fields = raw.schema["fields"].dataType
    assert isinstance(fields, StructType)  # noqa: S101  # by the definition of a raw frame
    return {f.name: f.dataType for f in fields.fields}


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
        text = _trimmed(as_text(self._field(column), self.types[column]))
        if mapping.pattern is not None:
            text = F.regexp_extract(text, mapping.pattern, 1)
        return F.nullif(text, F.lit(""))

    def number(self, name: str) -> Column:
        """Finite double; null: missing or malformed. A typed boolean is 1 or 0."""
        column = self._typed(name, NumericType | BooleanType)
        return as_number(self.text(name)) if column is None else _finite(column.cast("double"))

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
        return F.when(~_trimmed(as_text(column, type_)).isin(*self.missing), column)

    def is_one_of(self, name: str, texts: Sequence[str]) -> Column:
        """True: the source's column `name` says one of the texts, of which the empty one stands for what is missing."""
        return F.coalesce(_trimmed(as_text(self._field(name), self.types[name])), F.lit("")).isin(*texts)

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
        return F.lower(_trimmed(as_text(self._field(column), self.types[column])))

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
        trimmed = F.transform(F.coalesce(parts, F.array().cast("array<string>")), _trimmed)
        return F.filter(trimmed, lambda part: part != "")

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


def as_text(column: Column, type_: DataType) -> Column:
    """The text of a value; a whole number in a double or float is written as one: 7 and not 7.0, 12345678 and not 1.2345678E7.

    pandas stores whole numbers so where one is missing, which it writes as NaN: that is null here.
    """
    if not isinstance(type_, DoubleType | FloatType):
        return column.cast("string")
    whole = (F.abs(column) < 2**53) & (column == F.floor(column))  # from there on doubles skip numbers
    return F.when(whole, column.cast("bigint").cast("string")).when(~F.isnan(column), column.cast("string"))


def _trimmed(text: Column) -> Column:
    return F.btrim(text, F.lit(" \t\r\n"))


def as_number(text: Column) -> Column:
    """Finite double; null: no such number."""
    return _finite(F.when(text.rlike(_NUMBER), text.try_cast("double")))


def _finite(number: Column) -> Column:
    return F.when(F.abs(number) < float("inf"), number)  # NaN is above infinity


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

    def counted(factor: int) -> Column:
        if isinstance(type_, IntegralType):  # not by way of its text, which costs several times as much
            return _dated(F.try_multiply(column.cast("bigint"), F.lit(factor).cast("bigint")))
        return as_whole(text, factor)

    if time.unit == "order":
        start = _midnight(time.start)
        return F.timestamp_micros(F.unix_micros(start) + counted(time.step_seconds * 1_000_000))
    return F.timestamp_micros(counted(1_000_000 // _PER_SECOND[time.unit]))


def made_up_time(day: datetime.date, of: Iterable[Column]) -> Column:
    """An instant of the day, UTC, that the texts decide alone: no order of files or rows shows in it."""
    start = _midnight(day)
    return F.timestamp_micros(F.unix_micros(start) + F.pmod(F.xxhash64(*of), F.lit(86_400_000_000)))


def _midnight(day: datetime.date) -> Column:
    return F.lit(datetime.datetime.combine(day, datetime.time(), datetime.UTC))


def as_whole(text: Column, factor: int) -> Column:
    """A decimal text times `factor`, as bigint; null: no number, or out of the range of dates (years 1 to 9999)."""
    number = F.when(text.rlike(_NUMBER), text.try_cast("decimal(24,6)"))
    return _dated(F.try_multiply(number, F.lit(factor).cast("decimal(14,0)"))).try_cast("bigint")


def likely_unit(text: str, earliest: datetime.date, latest: datetime.datetime) -> str | None:
    """The `time.unit` by which a time is between the two; None: there is none. What is no number is `text`."""
    if re.fullmatch(_NUMBER, text) is None:
        return "text"
    first = datetime.datetime.combine(earliest, datetime.time(), datetime.UTC).timestamp()
    for unit, per_second in _PER_SECOND.items():
        if first <= float(text) / per_second <= latest.timestamp():
            return unit
    return None


def _dated(micros: Column) -> Column:
    return F.when(micros.between(-62_135_596_800_000_000, 253_402_300_799_999_999), micros)


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
    texts, nested = [], []
    for name, type_ in field_types(raw).items():
        if isinstance(type_, StringType):
            texts.append(field(name))
        elif isinstance(type_, ArrayType | StructType | MapType):
            nested.append(F.to_json(F.struct(field(name))))
    found = any_of([text.contains(_REPLACEMENT) for text in texts + nested])
    return F.when(F.col("line").isNotNull(), F.col("line").contains(_REPLACEMENT)).otherwise(found)


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


def parse_events(
    raw: DataFrame,
    source: EventSource,
    earliest: datetime.date,
    now: datetime.datetime,
    latest: datetime.date | None = None,
) -> DataFrame:
    """Events with types and `reasons`; rules that look at one row only.

    Args:
        earliest: an event before this day, UTC, is refused.
        now: an event after this instant is refused.
        latest: an event after this day, UTC, is refused; None: there is no such day.
    Returns:
        SOURCE_ORDER, file_day, line, fields, event_id (the source's; null: none), user_id, item_id, event_type, value,
        event_time, session_id, context, reasons.
    """
    read = Reader(raw, source.columns, source.missing)
    what = {"user_id": read.text("user_id"), "item_id": read.text("item_id")}
    what["event_type"] = read.text("event_type") if read.has("event_type") else F.lit(source.event_type)
    timeless = source.time.unit == "none"
    time = made_up_time(source.time.start, what.values()) if timeless else read.time("event_time", source.time)
    typed = raw.select(
        *SOURCE_ORDER, "file_day", "line", "broken", "fields",
        read.text("event_id").alias("event_id"),
        *[column.alias(name) for name, column in what.items()],
        read.number("value").alias("value"),
        time.alias("event_time"),
        read.text("session_id").alias("session_id"),
        read.text_map(source.context).alias("context"),
    )  # fmt: skip
    rules = [(f"{name}_missing", F.col(name).isNull()) for name in what] + [
        ("event_time_missing", F.lit(not timeless) & read.is_missing("event_time")),
        ("event_time_malformed", ~read.is_missing("event_time") & F.col("event_time").isNull()),
        ("event_time_early", F.col("event_time") < _midnight(earliest)),
        ("event_time_future", F.col("event_time") > F.lit(now)),
        ("value_malformed", ~read.is_missing("value") & F.col("value").isNull()),
    ]
    if latest is not None:
        rules.append(("event_time_late", F.to_date("event_time") > F.lit(latest)))
    if source.event_types is not None:
        rules.append(("event_type_unknown", ~F.col("event_type").isin(*source.event_types)))
    return typed.withColumn("reasons", line_reasons(raw, rules)).drop("broken")


def parsed_once(rows: DataFrame) -> DataFrame:
    """The same rows, in a form that no filter on them is pushed below.

    Spark would put the whole of the parsing into the filter and do it once more for the rows that pass, in a method so long
    that the JVM does not compile it: six times the cost. What it takes for random it leaves where it is.
    """
    return rows.withColumn("row", F.col("row") + F.spark_partition_id() * 0)


def with_raw(events: DataFrame, of_accepted: bool) -> DataFrame:
    """Puts `raw` for `line` and `fields`: the row as it goes to quarantine, null where it is accepted.

    Args:
        of_accepted: what is accepted here may be refused later, so it has its raw text too, at the cost of writing it out.
    """
    raw = raw_text() if of_accepted else F.when(F.size("reasons") > 0, raw_text())
    return events.withColumn("raw", raw).drop("line", "fields")
