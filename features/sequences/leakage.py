"""The leakage guard of sequences: events before targets, splits apart in time, statistics of the training period alone.

Each check raises LeakageError on its first finding, naming table, column, key and instant. None trusts the code that built
the rows: orders are compared by the instants that rows carry. That of features is features/trailing/leakage.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.errors import LeakageError
from features.sequences.config import Split
from features.sequences.splits import SPLITS


@dataclass(frozen=True)
class _Rule:
    """What must hold of a row: `broken` is true where it does not, `instant` is the column that shows it."""

    instant: str
    broken: Column
    text: str


def check_examples(examples: DataFrame, split: Split, until: int) -> None:
    """Examples read events before their targets only, and their targets lie in their split's part of the history.

    Args:
        examples: what sequences.training_examples returns.
        until: instant before which every event must lie, in microseconds since 1970-01-01 UTC.
    Raises:
        LeakageError: the first rule that is broken.
    """
    late = F.col("target_time") >= F.timestamp_micros(F.lit(until))
    rules = [
        _Rule("last_time", F.col("disordered") > 0, "an event must come before its target in the user's order"),
        _Rule("last_time", F.col("last_time") > F.col("target_time"), "an event must not be later than the last target"),
        _Rule("target_time", late, "a target must lie in the days of the run"),
    ]
    _refuse(examples, "sequences", "example_id", rules + _period_rules(split))
    _refuse(_user_periods(examples), "sequences", "user_id", _user_rules())


def _period_rules(split: Split) -> list[_Rule]:
    if split.by != "global_time":
        return []
    rules = []
    for name, day in (("valid", split.valid_from), ("test", split.test_from)):
        start, earlier = F.lit(day).cast("timestamp"), SPLITS[: SPLITS.index(name)]
        too_late = F.col("split").isin(*earlier) & (F.col("target_time") >= start)
        too_early = (F.col("split") == name) & (F.col("first_target_time") < start)
        rules += [
            _Rule("target_time", too_late, f"a target of {' and '.join(earlier)} must come before {name}_from={day}"),
            _Rule("first_target_time", too_early, f"a target of {name} must not come before {name}_from={day}"),
        ]
    return rules


def _user_periods(examples: DataFrame) -> DataFrame:
    """user_id with oldest_{split} and newest_{split}: times of the targets that count."""
    return examples.groupBy("user_id").agg(
        *[F.min(F.when(F.col("split") == s, F.col("first_target_time"))).alias(f"oldest_{s}") for s in SPLITS],
        *[F.max(F.when(F.col("split") == s, F.col("target_time"))).alias(f"newest_{s}") for s in SPLITS],
    )


def _user_rules() -> list[_Rule]:
    pairs = (("train", "valid"), ("train", "test"), ("valid", "test"))
    return [
        _Rule(f"newest_{a}", F.col(f"newest_{a}") > F.col(f"oldest_{b}"), f"a user's {a} target must not be later than {b}")
        for a, b in pairs
    ]


def check_events(events: DataFrame) -> None:
    """No event stands in two splits.

    Args:
        events: with `split`.
    Raises:
        LeakageError: an event_id does.
    """
    found = events.groupBy("event_id").agg(
        F.min("split").alias("one"), F.max("split").alias("other"), F.max("event_time").alias("at")
    )
    _refuse(found, "events", "event_id", [_Rule("at", F.col("one") != F.col("other"), "an event must be in one split only")])


def check_statistics(statistics: DataFrame, training_end: int) -> None:
    """Statistics were fitted on data of the training period.

    Args:
        training_end: instant at which it ends, itself outside, in microseconds since 1970-01-01 UTC.
    Raises:
        LeakageError: one was fitted on later data.
    """
    late = F.col("fitted_until") > F.timestamp_micros(F.lit(training_end))
    named = statistics.withColumn("fitted", F.concat_ws(".", "owner", "column", "statistic"))
    _refuse(named, "statistics", "fitted", [_Rule("fitted_until", late, "data must end with the training period")])


def _refuse(rows: DataFrame, table: str, key: str, rules: list[_Rule]) -> None:
    """Raises for the first row that breaks a rule; all rules are judged in one pass."""
    broken = [
        F.when(
            r.broken,
            F.struct(
                F.lit(r.instant).alias("column"), F.col(r.instant).cast("string").alias("at"), F.lit(r.text).alias("rule")
            ),
        )
        for r in rules
    ]
    findings = rows.select(F.col(key).alias("key"), F.array_compact(F.array(*broken)).alias("broken"))
    row = findings.where(F.size("broken") > 0).orderBy("key").head()
    if row is not None:
        column, at, rule = row["broken"][0]
        raise LeakageError(f"{table}: {rule}. Received {column}={at} in {key}={row['key']}.")
