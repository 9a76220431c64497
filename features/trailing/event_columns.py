"""What features can be about: the columns of events, of their items, and what follows from their times."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.sequences.order import user_order
from features.trailing.config import FeaturesConfig
from features.trailing.feature import KINDS, Declared, Feature, Limits
from features.trailing.operations import column_name, event_column, event_number

CATEGORIES = "category"  # the list column of labels
ITEM_COLUMNS = {"price": "price", "year": "year", CATEGORIES: "categories"}  # name in a declaration to column of items


def with_key(events: DataFrame, items: DataFrame, entity: str) -> DataFrame:
    """The events with the column {entity}_id; for a category that is one row for each category of the item."""
    if entity != "category":
        return events
    categories = items.select("item_id", F.explode(F.array_distinct(ITEM_COLUMNS[CATEGORIES])).alias("category_id"))
    return events.join(categories, "item_id")


def columns_needed(declared: Declared) -> set[str]:
    """Columns that declarations are about, as they are declared."""
    return {column for f in declared if isinstance(f, Feature) for column in f.columns_read}


def with_event_columns(events: DataFrame, items: DataFrame, needed: set[str], config: FeaturesConfig) -> DataFrame:
    """The events with every column of `needed`, under the name that it is declared by.

    Args:
        events: cleaned events; for sessions, with those of the day before the days that are of interest.
        items: the catalogue; read only where price, year or category is needed. An item that it lacks has none.
    """
    of_items = [F.col(column).alias(name) for name, column in ITEM_COLUMNS.items() if name in needed]
    if of_items:
        events = events.join(items.select("item_id", *of_items), "item_id", "left")
    local = F.from_utc_timestamp("event_time", config.zone)
    made = {"hour": F.date_format(local, "HH"), "weekday": F.dayofweek(local).cast("string")}
    columns = {name: column for name, column in made.items() if name in needed}
    columns |= {c: F.col("context")[column_name(c)] for c in needed - KINDS.keys()}
    events = events.withColumns(columns) if columns else events
    return _with_sessions(events, config.session_minutes) if "sessions" in needed else events


def _with_sessions(events: DataFrame, minutes: int) -> DataFrame:
    """Adds session_begins, and session_seconds: the time since the event before, within the session.

    A session begins where the user was away for more than `minutes`, or where the source's session_id changes. Sums of
    the two over days are the number and the length of sessions; a session belongs to each day by its part.
    """
    before, session_before = F.lag("event_time").over(user_order()), F.lag("session_id").over(user_order())
    away = F.unix_micros("event_time") - F.unix_micros(before)
    begins = before.isNull() | (away > minutes * 60_000_000) | ~F.col("session_id").eqNullSafe(session_before)
    found = events.withColumns({"session_begins": begins, "session_seconds": away / 1_000_000})
    return found.withColumn("session_seconds", F.when(~F.col("session_begins"), F.col("session_seconds")))


def is_measured(feature: Feature) -> Column:
    """True for the events that a feature is about: those that fulfil its conditions; never null."""
    fulfilled = F.lit(True)
    for column, condition in feature.conditions.items():
        if isinstance(condition, Limits):
            number = event_number(column)
            if condition.at_least is not None:
                fulfilled &= number >= condition.at_least
            if condition.below is not None:
                fulfilled &= number < condition.below
        else:
            fulfilled &= event_column(column).isin(*condition)
    return F.coalesce(fulfilled, F.lit(False)) if feature.where else fulfilled
