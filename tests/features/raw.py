"""Raw frames as jobs/runtime/sources.py makes them, from rows written in a test."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from features.schema import month_of

UTC = datetime.UTC
NOW = datetime.datetime(2024, 6, 1, tzinfo=UTC)
EARLIEST = datetime.date(1990, 1, 1)


def raw_frame(spark: SparkSession, fields: str, rows: Sequence[tuple], broken: Sequence[int] = ()) -> DataFrame:
    """Rows of one file in their order; `broken` are the numbers of those that could not be split."""
    indexed = [(i, *row) for i, row in enumerate(rows)]
    frame = spark.createDataFrame(indexed, f"row bigint, {fields}").coalesce(1)
    names = [F.col(f"`{c}`") for c in frame.columns if c != "row"]
    is_broken = F.col("row").isin(*broken) if broken else F.lit(False)
    return frame.select(
        F.lit("a.csv").alias("file"),
        F.lit(0).cast("bigint").alias("block"),
        "row",
        F.lit(None).cast("date").alias("file_day"),
        F.when(is_broken, F.lit("a line")).alias("line"),
        is_broken.alias("broken"),
        F.struct(*names).alias("fields"),
    )


def event_frame(spark: SparkSession, rows: Sequence[dict]) -> DataFrame:
    """Parsed events in source order; what a row does not say is one view of item i by user u at 12:00 on 2024-05-01.

    None is said to repeat another.
    """
    base = {
        "user_id": "u",
        "item_id": "i",
        "event_type": "view",
        "value": None,
        "second": 0.0,
        "session_id": None,
        "event_id": None,
    }
    base |= {"reasons": [], "context": {}}
    full = [(i, *(base | row | {"second": float(row.get("second", 0))}).values()) for i, row in enumerate(rows)]
    types = "user_id string, item_id string, event_type string, value double, second double, session_id string, event_id string"
    frame = spark.createDataFrame(full, f"row bigint, {types}, reasons array<string>, context map<string,string>").coalesce(1)
    noon = F.lit(int(datetime.datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp()))
    timed = frame.withColumns(
        {
            "file": F.lit("a.csv"),
            "block": F.lit(0).cast("bigint"),
            "file_day": F.lit(None).cast("date"),
            "raw": F.lit("{}"),
            "duplicate": F.lit(None).cast("string"),
            "event_time": F.timestamp_micros(((noon + F.col("second")) * 1_000_000).cast("bigint")),
        }
    ).drop("second")
    return timed.withColumn("month", month_of("event_time"))
