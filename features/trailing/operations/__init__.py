"""Every operation by the name that a scenario declares it under. A new one is a class and a line here."""

from pyspark.sql import functions as F

from features.trailing.operations.base import (
    CONTEXT,
    EVENTS,
    Kind,
    Operation,
    Part,
    Past,
    as_name,
    column_name,
    event_column,
    event_number,
)
from features.trailing.operations.counts import Count, DecayedCount, Frequency, PerActiveDay, Recency, Trend
from features.trailing.operations.labels import Distinct, DistinctSketch, Entropy, Interest, Share
from features.trailing.operations.numbers import DecayedSum, Extreme, Mean, SmoothedMean, Std, Sum
from features.trailing.operations.order import End, LastK

OPERATIONS: dict[str, Operation] = {
    "count": Count(),
    "recency": Recency(),
    "frequency": Frequency(),
    "per_active_day": PerActiveDay(),
    "trend": Trend(),
    "decayed_count": DecayedCount(),
    "sum": Sum(),
    "mean": Mean(),
    "smoothed_mean": SmoothedMean(),
    "min": Extreme("least", F.min),
    "max": Extreme("greatest", F.max),
    "std": Std(),
    "decayed_sum": DecayedSum(),
    "share": Share(),
    "interest": Interest(),
    "entropy": Entropy(),
    "distinct": Distinct(),
    "distinct_sketch": DistinctSketch(),
    "first": End("first", F.min),
    "last": End("last", F.max),
    "last_k": LastK(),
}

__all__ = [
    "CONTEXT",
    "EVENTS",
    "OPERATIONS",
    "Kind",
    "Operation",
    "Part",
    "Past",
    "as_name",
    "column_name",
    "event_column",
    "event_number",
]
