"""Missing values of events, filled with the user's last known one."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.cleaning.checks import value_of
from features.cleaning.config import Impute
from features.cleaning.duplicates import is_kept
from features.cleaning.marks import marked
from features.source.raw import SOURCE_ORDER


def with_carried_forward(events: DataFrame, rules: Sequence[Impute]) -> DataFrame:
    """Kept events with the newest earlier value of their user where they have none; ties in time are in source order.

    Nothing is fitted and nothing looks ahead. A rule with `by` looks at the user's events of the same type, or item, only.
    `context.<name>_imputed` (`context.value_imputed`) says where; what one rule fills, later ones do not see as their own.
    """
    for rule in rules:
        events = _carried(events, rule)
    return events


def _carried(events: DataFrame, rule: Impute) -> DataFrame:
    keys = ["user_id", *([rule.by] if rule.by else [])]
    past = Window.partitionBy(*keys, is_kept()).orderBy("event_time", *SOURCE_ORDER).rowsBetween(Window.unboundedPreceding, -1)
    value, name = value_of(rule.column), rule.column.removeprefix("context.")
    known = events.withColumn("_last", F.last(value, ignorenulls=True).over(past))
    filled = is_kept() & value.isNull() & F.col("_last").isNotNull()
    context = marked("context", f"{name}_imputed", F.lit("carried_forward"))
    if rule.column == "value":
        changed = {"value": F.when(filled, F.col("_last")).otherwise(F.col("value"))}
    else:
        changed = {}
        context = F.map_concat(context, F.create_map(F.lit(name), F.col("_last")))
    return known.withColumns(changed | {"context": F.when(filled, context).otherwise(F.col("context"))}).drop("_last")
