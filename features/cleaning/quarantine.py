"""Refused rows as the table `quarantine` holds them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.schema import conform
from features.source.parsing import SOURCE_ORDER
from features.tables import QUARANTINE

UNDATED = datetime.date(1970, 1, 1)  # `date` of a refused row that belongs to no day
OUTSIDE = "outside_dates"  # reason of an event that is of another day than its file
# What event_time says is then not to be believed.
_TIMELESS = ("line_broken", "event_time_early", "event_time_late", "event_time_future")


def with_date(events: DataFrame) -> DataFrame:
    """Adds `date`: the event's day, UTC, where it could be read and is plausible; else its file's day; else UNDATED."""
    implausible = (F.size("reasons") > 0) & F.arrays_overlap("reasons", F.array(*[F.lit(r) for r in _TIMELESS]))
    day = F.coalesce(F.when(~implausible, F.to_date("event_time")), F.col("file_day"), F.lit(UNDATED))
    return events.withColumn("date", day)


def refuse_outside(events: DataFrame, start: datetime.date, end: datetime.date) -> DataFrame:
    """Refuses events that stand in a file of these days and are of others, such as late ones; their `date` is that file's day.

    The days that are theirs are not built by this run, so they would be lost; a run over both days takes them.

    Args:
        events: of the files of the days from `start` to `end`, with `file_day` and the `date` of `with_date`.
    """
    outside = F.col("file_day").isNotNull() & ~F.col("date").between(start, end)
    reasons = F.when(outside, F.array_append("reasons", F.lit(OUTSIDE))).otherwise(F.col("reasons"))
    return events.withColumns({"reasons": reasons, "date": F.when(outside, F.col("file_day")).otherwise(F.col("date"))})


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
