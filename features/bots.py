"""Users who do more in a day than a person can."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.duplicates import is_kept


def with_bots(events: DataFrame, events_per_day: int | None) -> DataFrame:
    """Adds the reason `bot` to every kept event of a user's day (UTC) that has more than `events_per_day` of them.

    Repeated and refused rows do not count, and the user's other days stay.
    """
    if events_per_day is None:
        return events
    day = Window.partitionBy("user_id", F.to_date("event_time"), is_kept())
    counted = events.withColumn("_of_day", F.count(F.lit(1)).over(day))
    bot = is_kept() & (F.col("_of_day") > events_per_day)
    marked = F.when(bot, F.array(F.lit("bot"))).otherwise(F.col("reasons"))
    return counted.withColumn("reasons", marked).drop("_of_day")
