"""More events of one user or item on one day than can be meant: bots, and items that something other than people calls."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.cleaning.config import Cap
from features.cleaning.duplicates import is_kept
from features.source.raw import SOURCE_ORDER


def with_caps(events: DataFrame, caps: Sequence[Cap]) -> DataFrame:
    """Adds a cap's reason to the kept events that it refuses, on days (UTC) with more than `per_day` kept events of the key.

    Repeated and refused rows do not count, and the key's other days stay. A later cap counts what an earlier one has left.
    The first events of a day are those of the earliest instants, ties in source order.
    """
    for cap in caps:
        day = Window.partitionBy(cap.key, F.to_date("event_time"), is_kept())
        number = (
            F.count(F.lit(1)).over(day)
            if cap.refuse == "day"
            else F.row_number().over(day.orderBy("event_time", *SOURCE_ORDER))
        )
        over = is_kept() & (F.col("_number") > cap.per_day)
        marked = F.when(over, F.array(F.lit(cap.reason))).otherwise(F.col("reasons"))
        events = events.withColumn("_number", number).withColumn("reasons", marked).drop("_number")
    return events
