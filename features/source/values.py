"""From texts to typed values. Nothing raises on bad data: what cannot be read is null."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DateType,
    DoubleType,
    FloatType,
    IntegralType,
    TimestampNTZType,
    TimestampType,
)

from features.source.config import Time

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"  # a cast would also take 1d, 0x1p3, NaN and Infinity
_DAY_FIRST = r"^\d{4}-\d{2}-\d{2}"  # a cast would also take 12:30, as a time of today
_LOCAL_TIME = _DAY_FIRST + r"([T ][\d:.,]*)?$"  # a zone or an offset has a letter, + or -
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}


def as_text(column: Column, type_: DataType) -> Column:
    """The text of a value; a whole number in a double or float is written as one: 7 and not 7.0, 12345678 and not 1.2345678E7.

    pandas stores whole numbers so where one is missing, which it writes as NaN: that is null here.
    """
    if not isinstance(type_, DoubleType | FloatType):
        return column.cast("string")
    whole = (F.abs(column) < 2**53) & (column == F.floor(column))  # from there on doubles skip numbers
    return F.when(whole, column.cast("bigint").cast("string")).when(~F.isnan(column), column.cast("string"))


def trimmed(text: Column) -> Column:
    return F.btrim(text, F.lit(" \t\r\n"))


def as_number(text: Column) -> Column:
    """Finite double; null: no such number."""
    return finite(F.when(text.rlike(_NUMBER), text.try_cast("double")))


def finite(number: Column) -> Column:
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
        start = midnight(time.start)
        return F.timestamp_micros(F.unix_micros(start) + counted(time.step_seconds * 1_000_000))
    return F.timestamp_micros(counted(1_000_000 // _PER_SECOND[time.unit]))


def made_up_time(day: datetime.date, of: Iterable[Column]) -> Column:
    """An instant of the day, UTC, that the texts decide alone: no order of files or rows shows in it."""
    start = midnight(day)
    return F.timestamp_micros(F.unix_micros(start) + F.pmod(F.xxhash64(*of), F.lit(86_400_000_000)))


def midnight(day: datetime.date) -> Column:
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
