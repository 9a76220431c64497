"""Refused rows as the table `quarantine` holds them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.schema import conform
from features.source.raw import SOURCE_ORDER
from features.tables import QUARANTINE

UNDATED = datetime.date(1970, 1, 1)  # `date` of a refused row that belongs to no day
_OUTSIDE = "outside_dates"  # reason of an event that is too far from its file's day
# What event_time says is then not to be believed.
_TIMELESS = ("line_broken", "event_time_early", "event_time_late", "event_time_future")


def with_date(events: DataFrame, late_days: int = 0) -> DataFrame:
    """Adds `date`, and refuses as `outside_dates` events further from their file's day than `late_days`.

    `date` is the day, UTC, whose run decides about a row, and that of the table it goes to. It is told by the row alone,
    whichever days a run is about and whatever else it reads, so that each row is of one day; and the files of `late_days`
    before and after a day hold all that is of it.

    Where files have days: the event's day, if it is near enough to its file's; else the file's.
    Else: the event's day, where it could be read and is plausible; else UNDATED.

    Args:
        events: with file_day (null: files have no days), event_time and reasons.
    """
    day = F.to_date("event_time")
    plausible = ~((F.size("reasons") > 0) & F.arrays_overlap("reasons", F.array(*[F.lit(r) for r in _TIMELESS])))
    near = F.abs(F.date_diff(day, "file_day")) <= late_days  # null where one of the two is
    date = F.coalesce(F.when(F.coalesce(near, plausible), day), F.col("file_day"), F.lit(UNDATED))
    refused = F.when(plausible & ~near, F.array_append("reasons", F.lit(_OUTSIDE))).otherwise(F.col("reasons"))
    return events.withColumns({"date": date, "reasons": refused})


def quarantined(rows_of: Mapping[str, DataFrame], places_of: Mapping[str, DataFrame], run_id: str) -> DataFrame:
    """The refused rows of all sources, as the table `quarantine`.

    Args:
        rows_of: by source, rows with SOURCE_ORDER, raw, reasons, and `date` (UNDATED where there is no such column).
        places_of: by source, SOURCE_ORDER of every row, refused or not, over which positions are counted; a source that is not
            among them has its positions in `row`.
    """
    rows = reduce(DataFrame.unionByName, [_named(source, rows) for source, rows in rows_of.items()])
    refused = rows.where(F.size("reasons") > 0)
    position = F.col("row")
    if places_of:
        places = [rows.select(F.lit(source).alias("source"), *SOURCE_ORDER) for source, rows in places_of.items()]
        blocks = F.broadcast(_blocks(reduce(DataFrame.unionByName, places)))
        refused = refused.join(blocks, ["source", "file", "block"], "left")
        position += F.coalesce(F.col("rows_before") - F.col("first_row"), F.lit(0))
    return conform(refused.withColumns({"position": position, "run_id": F.lit(run_id)}), QUARANTINE)


def _named(source: str, rows: DataFrame) -> DataFrame:
    date = F.col("date") if "date" in rows.columns else F.lit(UNDATED).alias("date")
    return rows.select(F.lit(source).alias("source"), *SOURCE_ORDER, "raw", "reasons", date)


def _blocks(rows: DataFrame) -> DataFrame:
    """One row per block of a file: the number of its first row, and how many rows the file has before it."""
    sizes = rows.groupBy("source", "file", "block").agg(F.min("row").alias("first_row"), F.count(F.lit(1)).alias("rows"))
    before = Window.partitionBy("source", "file").orderBy("block").rowsBetween(Window.unboundedPreceding, -1)
    return sizes.withColumn("rows_before", F.coalesce(F.sum("rows").over(before), F.lit(0))).drop("rows")
