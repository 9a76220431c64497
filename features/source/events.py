"""Events as a parsed frame: typed columns and `reasons`, the rules that the row broke; empty: none."""

from __future__ import annotations

import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.source.config import EventSource
from features.source.raw import SOURCE_ORDER, raw_text
from features.source.reader import Reader
from features.source.reasons import line_reasons
from features.source.values import made_up_time, midnight


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
        ("event_time_early", F.col("event_time") < midnight(earliest)),
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
