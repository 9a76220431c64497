"""Steps: an event of a user, encoded, and the request that follows it. Training and scoring share every line."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.scaling import scale, z_scores
from features.sequences.order import user_order
from features.sequences.vocabularies import Vocabularies, known

GAP_BUCKETS = 32  # 0 padding or no event before, else 1 + floor(log2(1 + seconds)), at most GAP_BUCKETS - 1


@dataclass(frozen=True)
class UserFeatures:
    """The table user_features, and what the model reads of it.

    rows   of the days that are wanted
    names  features that are one number, in the order in which the model reads those that were fitted
    zeros  those that are 0 for a user without a past, who has no row; the others are null then
    """

    rows: DataFrame
    names: Sequence[str]
    zeros: Collection[str]


def gap_bucket(earlier: Column, later: Column) -> Column:
    """Bucket of the time between two timestamps; 0 where one is null. Never null."""
    seconds = F.floor((F.unix_micros(later) - F.unix_micros(earlier)) / 1_000_000)
    bits = F.length(F.bin(1 + seconds))  # 1 + floor(log2(1 + seconds)), exact where a quotient of logarithms is not
    return F.least(F.coalesce(bits, F.lit(0)), F.lit(GAP_BUCKETS - 1))


def encode(events: DataFrame, vocabularies: Vocabularies, statistics: DataFrame) -> DataFrame:
    """Adds item_index, type_index, score (z-score of value) and valued (1 where there is a score), none of them null."""
    fitted = z_scores(statistics, "sequences")
    items = vocabularies.items.select("item_id", F.col("index").alias("item_index"))
    labels = vocabularies.labels.where(F.col("column") == "event_type")
    types = labels.select(F.col("label").alias("event_type"), F.col("index").alias("type_index"))
    valued = F.col("value").isNotNull() & F.lit("value" in fitted)
    return (
        events.join(items, "item_id", "left")
        .join(F.broadcast(types), "event_type", "left")
        .withColumns(
            {
                "item_index": known("item_index"),
                "type_index": known("type_index"),
                "score": scale("value", fitted),
                "valued": valued.cast("float"),
            }
        )
    )


def with_requests(events: DataFrame, as_of: datetime.date | None = None) -> DataFrame:
    """Adds to each event the time since the one before it, and the request that follows: the user's next event.

    The newest event of a user is followed by the request at the start of `as_of`; by none where that is not given.

    Args:
        events: with what `encode` adds.
    """

    def following(column: str) -> Column:
        return F.lead(column).over(user_order())

    start = F.lit(as_of).cast("timestamp")
    request_time = F.coalesce(following("event_time"), start)
    return events.withColumns(
        {
            "gap": gap_bucket(F.lag("event_time").over(user_order()), F.col("event_time")),
            "request_time": request_time,
            "request_date": F.coalesce(following("date"), F.lit(as_of).cast("date")),
            "request_tie": following("tie_order"),
            "target": F.coalesce(following("item_index"), F.lit(0)),
            "target_score": F.coalesce(following("score"), F.lit(0.0).cast("float")),
            "target_valued": F.coalesce(following("valued"), F.lit(0.0).cast("float")),
        }
    ).withColumns(
        {
            "request_gap": gap_bucket(F.col("event_time"), F.col("request_time")),
            "request_hour": F.coalesce(1 + F.hour("request_time"), F.lit(0)),
            "request_weekday": F.coalesce(F.dayofweek("request_time"), F.lit(0)),
        }
    )


def with_user_features(steps: DataFrame, user_features: UserFeatures, statistics: DataFrame) -> DataFrame:
    """Adds `features` (array<float>, z-scores as of the request's day) and `featured` (a row of user_features was found).

    Without a row, the features are those of a user without a past.
    """
    fitted = z_scores(statistics, "user_features")
    names = [name for name in user_features.names if name in fitted]
    rows = user_features.rows.select("user_id", F.col("date").alias("request_date"), *names, F.lit(True).alias("featured"))
    joined = steps.join(rows, ["user_id", "request_date"], "left").withColumns(
        {name: F.coalesce(name, F.lit(0)) for name in names if name in user_features.zeros}
        | {"featured": F.coalesce("featured", F.lit(False))}
    )
    features = F.array(*[scale(name, fitted) for name in names]) if names else F.array().cast("array<float>")
    return joined.withColumn("features", features).drop(*names)
