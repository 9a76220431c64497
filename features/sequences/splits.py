"""Which events train the model, which choose it and which judge it."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.errors import NoInputError
from features.sequences.config import Split
from features.sequences.order import start_of, with_positions

SPLITS = ("train", "valid", "test")  # in the order of a user's history
_FEWEST = 3  # events of a user of whom leave_one_out holds two back: one is left to look back on


def _leave_one_out() -> Column:
    held_back = F.col("user_events") >= _FEWEST
    from_end = F.col("user_events") - F.col("position")  # 1 is the newest
    return F.when(held_back & (from_end == 1), "test").when(held_back & (from_end == 2), "valid").otherwise("train")


def _global_time(split: Split) -> Column:
    return (
        F.when(F.col("date") < F.lit(split.valid_from), "train")
        .when(F.col("date") < F.lit(split.test_from), "valid")
        .otherwise("test")
    )


def with_split(events: DataFrame, split: Split) -> DataFrame:
    """Adds `position`, `user_events` and `split`: where the event belongs as a target.

    leave_one_out: of users with three events and more, the newest is test and the one before it valid; all others train.
    global_time: by the day of the event. The first event of a user belongs to its split, though it is nobody's target.
    """
    by = _leave_one_out() if split.by == "leave_one_out" else _global_time(split)
    return with_positions(events).withColumn("split", by)


def training_end(events: DataFrame, split: Split) -> int:
    """The instant at which the training period ends, itself outside, in microseconds since 1970-01-01 UTC.

    global_time: midnight of valid_from. leave_one_out has no common date: just after the newest training event.

    Args:
        events: with `split`.
    Raises:
        NoInputError: if there is no training event.
    """
    train = events.where(F.col("split") == "train")
    newest = train.agg(F.max(F.unix_micros("event_time")).alias("newest")).collect()[0]["newest"]
    if newest is None:
        raise NoInputError(f"events: none is in the training period, split by {split.by}, valid_from={split.valid_from}.")
    if split.valid_from is None:
        return int(newest) + 1
    return start_of(split.valid_from)
