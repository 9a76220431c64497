"""The order of a user's events: by time, ties in source order. Every sequence, split and gap follows it."""

from __future__ import annotations

import datetime

from pyspark.sql import DataFrame, Window, WindowSpec
from pyspark.sql import functions as F


def user_order() -> WindowSpec:
    """The events of one user, oldest first."""
    return Window.partitionBy("user_id").orderBy("event_time", "tie_order")


def with_positions(events: DataFrame) -> DataFrame:
    """Adds `position`, 0 for the user's oldest event, and `user_events`, how many the user has (both int)."""
    return events.withColumns(
        {
            "position": F.row_number().over(user_order()) - 1,
            "user_events": F.count("*").over(Window.partitionBy("user_id")).cast("int"),
        }
    )


def start_of(day: datetime.date) -> int:
    """Midnight UTC in microseconds since 1970-01-01: a datetime would pass through the time zone of the machine."""
    return (day - datetime.date(1970, 1, 1)) // datetime.timedelta(microseconds=1)
