"""Sequences: windows of a user's history as padded arrays, to train on, to judge by, and to score."""

from __future__ import annotations

import datetime

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.sequences.arrays import HISTORY, TARGETS, as_arrays, padded
from features.sequences.config import SequencesConfig
from features.sequences.order import with_positions
from features.sequences.splits import SPLITS
from features.sequences.steps import UserFeatures, encode, with_requests, with_user_features
from features.sequences.vocabularies import Vocabularies, known


def length_buckets(config: SequencesConfig) -> list[int]:
    """Lengths of arrays: doubling from min_length, and max_length."""
    lengths, length = [], config.min_length
    while length < config.max_length:
        lengths.append(length)
        length *= 2
    return [*lengths, config.max_length]


def keep_types(events: DataFrame, config: SequencesConfig) -> DataFrame:
    """The events that enter sequences."""
    return events if config.event_types is None else events.where(F.col("event_type").isin(*config.event_types))


def _in_windows(events: DataFrame, max_length: int) -> DataFrame:
    """One row per step and example that holds it: `example_split`, `window` (0 is the newest) and `weight`.

    The targets of a split are cut from the newest backwards into windows of `max_length`; the oldest one is filled up with
    older events, whose targets belong to another split and weigh nothing. Of events 1 to 7 under leave-one-out and windows of
    three, training has the targets 3, 4, 5 and, in its older window, 2; test has 5, 6, 7, of which only 7 weighs.
    """
    user, target = Window.partitionBy("user_id"), F.col("position") + 1
    memberships = []
    for split in SPLITS:
        targets = F.when((F.col("split") == split) & (F.col("position") > 0), F.col("position"))
        newest, oldest = F.max(targets).over(user), F.min(targets).over(user)
        window = F.floor((newest - target) / max_length).cast("int")
        last_window = F.floor((newest - oldest) / max_length)
        kept = (target <= newest) & (window <= last_window)
        memberships.append(F.struct(F.lit(split).alias("example_split"), window.alias("window"), kept.alias("kept")))
    split_of_target = F.lead("split").over(Window.partitionBy("user_id").orderBy("position"))
    rows = events.withColumns({"memberships": F.array(*memberships), "target_split": split_of_target})
    rows = rows.select("*", F.inline("memberships")).where("kept")
    # Not true also where there is no target.
    rows = rows.withColumn("weight", F.col("target_split").eqNullSafe(F.col("example_split")).cast("float"))
    return rows.withColumn("target_value_weight", F.col("weight") * F.col("target_valued"))


def training_examples(
    events: DataFrame, user_features: UserFeatures, vocabularies: Vocabularies, statistics: DataFrame, config: SequencesConfig
) -> DataFrame:
    """The rows of `sequences`: each event but a user's first is the target, with weight 1, of exactly one.

    Besides the table's columns, what a row is judged by: `counted` (targets that count), `first_target_time` (of the first
    of them), `disordered` (steps whose event does not come before their target) and `unfeatured` (steps for whose day
    user_features has no row).

    Args:
        events: with `split`; of the types that enter sequences.
        user_features: as of the day of every event.
    """
    steps = _in_windows(with_requests(encode(events, vocabularies, statistics)), config.max_length)
    steps = with_user_features(steps.drop("split"), user_features, statistics)
    keys, columns = ["user_id", "example_split", "window"], HISTORY | TARGETS
    before = F.struct("event_time", "tie_order") < F.struct("request_time", F.col("request_tie").alias("tie_order"))
    rows = as_arrays(
        steps,
        keys,
        columns,
        F.max("request_time").alias("target_time"),
        F.min(F.when(F.col("weight") > 0, F.col("request_time"))).alias("first_target_time"),
        F.sum("weight").cast("bigint").alias("counted"),
        F.count_if(~before).alias("disordered"),
        F.count_if(~F.col("featured")).alias("unfeatured"),
    )
    lengths = [F.when(F.col("events") <= length, length) for length in length_buckets(config)]
    rows = padded(rows.withColumn("length", F.coalesce(*lengths)), columns)
    example_id = F.concat_ws("|", "user_id", "example_split", "window")
    return _with_user_index(rows.withColumn("example_id", example_id), vocabularies).withColumnRenamed("example_split", "split")


def latest_windows(
    events: DataFrame,
    user_features: UserFeatures,
    vocabularies: Vocabularies,
    statistics: DataFrame,
    config: SequencesConfig,
    as_of: datetime.date,
) -> DataFrame:
    """What the model reads to score users at the start of `as_of`: one row per user with an event before it.

    The columns are user_id, user_index, events, last_time and the arrays of HISTORY with `user_features`, each of
    config.max_length entries (`user_features`: times the number of features). The request at the newest event is the one
    at the start of `as_of`: time since that event, hour and weekday, user features as of then. At older events it is, as
    in training, the user's next event.

    Args:
        events: cleaned events; those of `as_of` and later are left out.
        user_features: as of the day of every event, and of `as_of`.
        statistics: the whole table, or at least the owners sequences and user_features.
        config: the one that the sequences were built with.
    """
    past = with_positions(keep_types(events, config).where(F.col("date") < F.lit(as_of)))
    steps = with_requests(encode(past, vocabularies, statistics), as_of)
    newest = steps.where(F.col("user_events") - F.col("position") <= config.max_length)
    rows = as_arrays(with_user_features(newest, user_features, statistics), ["user_id"], HISTORY)
    rows = padded(rows.withColumn("length", F.lit(config.max_length)), HISTORY)
    return _with_user_index(rows.drop("length"), vocabularies)


def _with_user_index(rows: DataFrame, vocabularies: Vocabularies) -> DataFrame:
    users = vocabularies.users.select("user_id", F.col("index").alias("user_index"))
    return rows.join(users, "user_id", "left").withColumn("user_index", known("user_index"))
