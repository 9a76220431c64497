"""Steps to padded arrays, one row per example. Position 0 is the oldest event, padding stands at the end."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

# Array of the table to the column of a step that it holds, position by position.
HISTORY = {
    "item_ids": "item_index",
    "event_types": "type_index",
    "values": "score",
    "gaps": "gap",
    "request_gaps": "request_gap",
    "request_hours": "request_hour",
    "request_weekdays": "request_weekday",
}
TARGETS = {
    "targets": "target",
    "weights": "weight",
    "target_values": "target_score",
    "target_value_weights": "target_value_weight",
}
_FLOATS = {"values", "weights", "target_values", "target_value_weights"}


def as_arrays(steps: DataFrame, keys: list[str], columns: dict[str, str], *more: Column) -> DataFrame:
    """One row per key: `events` (how many), `last_time`, each of `columns` as an array in order of position, and `more`."""
    taken = [F.col(step).alias(array) for array, step in columns.items()]
    step = F.struct("position", *taken, F.col("features").alias("user_features"))
    grouped = steps.groupBy(*keys).agg(
        F.sort_array(F.collect_list(step)).alias("steps"),
        F.count("*").cast("int").alias("events"),
        F.max("event_time").alias("last_time"),
        *more,
    )
    arrays = {name: F.col("steps")[name] for name in columns} | {"user_features": F.flatten(F.col("steps.user_features"))}
    return grouped.withColumns(arrays).drop("steps")


def padded(rows: DataFrame, columns: dict[str, str]) -> DataFrame:
    """Fills the arrays up to `length` entries (`user_features` to length x features)."""
    missing = F.col("length") - F.col("events")
    features = (F.size("user_features") / F.col("events")).cast("int")
    zeros = {name: F.lit(0.0).cast("float") if name in _FLOATS else F.lit(0) for name in columns}
    filled = {name: F.concat(name, F.array_repeat(zero, missing)) for name, zero in zeros.items()}
    padding = F.array_repeat(F.lit(0.0).cast("float"), missing * features)
    return rows.withColumns(filled | {"user_features": F.concat("user_features", padding)})
