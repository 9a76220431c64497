"""Repeated events, resolved by a declared rule: which row stays never depends on how Spark spread the rows.

All windows are within one user, so that rows which are spread by user_id are not moved again. Where the instant is a part
of what a window is about, its month comes first, which says nothing new but is the table's partition: the rows are then
sorted as they are to be written.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from features.cleaning.config import Duplicates
from features.source.raw import SOURCE_ORDER

_TELLING = ("event_type", "event_time")
_CONTENT = ("event_id", "event_type", "value", "event_time", "session_id", "context")  # an event's, beside user and item


def is_accepted() -> Column:
    """True: no rule refuses the row."""
    return F.size("reasons") == 0


def is_kept() -> Column:
    """True: the row is accepted and repeats no other."""
    return is_accepted() & F.col("duplicate").isNull()


def with_duplicate(events: DataFrame, rule: Duplicates) -> DataFrame:
    """Adds `duplicate`: null where the row stays (or is refused for another reason), else what kind of repetition it is.

    Of event_id, value, session_id and context, those that the source does not give need not be there; `month` is that of
    event_time. Where event_id is a key, rows without one must agree in type and time as well.

    exact:       agrees with the row that stays in the keys and everything else.
    conflicting: agrees in the keys, but not in everything else.
    near:        the same user, item and type within `near_seconds` of the event before it. A chain of such repeats is one
                 event, its first, however long the chain: a nervous finger is one click. What stays is always the first.
    """
    return _with_near_repeats(_with_key_repeats(events, rule), rule.near_seconds)


def _with_key_repeats(events: DataFrame, rule: Duplicates) -> DataFrame:
    order = [F.desc(c) if rule.keep == "latest" else F.asc(c) for c in SOURCE_ORDER]
    same = Window.partitionBy(*_in_order(rule.keys), *_instead_of_id(rule.keys), is_accepted()).orderBy(*order)
    found = events.withColumns({"_nth": F.row_number().over(same), "_same": _agrees_with_first(events, rule, same)})
    repeat = F.when(F.col("_same"), "exact").otherwise("conflicting")
    return found.withColumn("duplicate", F.when(is_accepted() & (F.col("_nth") > 1), repeat)).drop("_nth", "_same")


def _agrees_with_first(events: DataFrame, rule: Duplicates, same: WindowSpec) -> Column:
    """True: the row says the same as the first of the window, in what they need not agree in for being in it."""
    names = [name for name in _CONTENT if name in events.columns and name not in rule.keys]
    columns = [F.map_entries(name) if name == "context" else F.col(name) for name in names]
    return reduce(operator.and_, [c.eqNullSafe(F.first(c).over(same)) for c in columns], F.lit(True))


def _with_near_repeats(events: DataFrame, seconds: float) -> DataFrame:
    if seconds == 0:
        return events
    chain = Window.partitionBy("user_id", "item_id", "event_type", is_kept()).orderBy("event_time", *SOURCE_ORDER)
    gap = F.unix_micros("event_time") - F.unix_micros(F.lag("event_time").over(chain))
    found = events.withColumn("_gap", gap)
    near = is_kept() & (F.col("_gap") <= int(seconds * 1_000_000))
    return found.withColumn("duplicate", F.when(near, "near").otherwise(F.col("duplicate"))).drop("_gap")


def _in_order(keys: Sequence[str]) -> list[str]:
    """The keys in an order close to that of `with_tie_order`, whose sort then finds the rows nearly in place."""
    first = ["month", "user_id", "event_time"] if "event_time" in keys else ["user_id"]
    return [*first, *[key for key in keys if key not in first]]


def _instead_of_id(keys: Sequence[str]) -> list[Column]:
    """What tells rows without an event_id apart where it is a key: else all of a user and item would be one event."""
    return [F.when(F.col("event_id").isNull(), F.col(c)) for c in _TELLING if c not in keys] if "event_id" in keys else []


def with_event_id(events: DataFrame, keys: Sequence[str]) -> DataFrame:
    """Fills `event_id`, or adds it, where the source has none: the MD5 of keys, type and time, the same in every delivery.

    Type and time are in it also where they are no keys: rows that agree in the keys are one event only where one run reads
    them all, and a run over another day writes another one. Each part stands behind its length, so that no two lists of parts
    are one text.
    """
    whole = [*keys, *[c for c in _TELLING if c not in keys]]
    texts = [F.coalesce((F.unix_micros(k) if k == "event_time" else F.col(k)).cast("string"), F.lit("")) for k in whole]
    parts = [part for text in texts for part in (F.length(text).cast("string"), text)]
    given = ["event_id"] if "event_id" in events.columns else []
    return events.withColumn("event_id", F.coalesce(*given, F.md5(F.concat_ws(":", *parts))))


def with_tie_order(events: DataFrame) -> DataFrame:
    """Adds `tie_order`: 0, 1, ... among the kept events of a user at one instant, in source order."""
    ties = Window.partitionBy("month", "user_id", "event_time", is_kept()).orderBy(*SOURCE_ORDER)
    return events.withColumn("tie_order", F.row_number().over(ties) - 1)
