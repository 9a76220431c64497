"""Every operation by the name that a scenario declares it under. A new one is a class and a line here."""

from features.operations.base import EVENTS, Kind, Operation, Part, Past, as_name
from features.operations.counts import Count, DecayedCount, Frequency, PerActiveDay, Recency, Trend
from features.operations.labels import Distinct, DistinctSketch, Entropy, Share
from features.operations.numbers import DecayedSum, Greatest, Least, Mean, Std, Sum
from features.operations.order import First, Last, LastK

OPERATIONS: dict[str, Operation] = {
    "count": Count(),
    "recency": Recency(),
    "frequency": Frequency(),
    "per_active_day": PerActiveDay(),
    "trend": Trend(),
    "decayed_count": DecayedCount(),
    "sum": Sum(),
    "mean": Mean(),
    "min": Least(),
    "max": Greatest(),
    "std": Std(),
    "decayed_sum": DecayedSum(),
    "share": Share(),
    "entropy": Entropy(),
    "distinct": Distinct(),
    "distinct_sketch": DistinctSketch(),
    "first": First(),
    "last": Last(),
    "last_k": LastK(),
}

__all__ = ["EVENTS", "OPERATIONS", "Kind", "Operation", "Part", "Past", "as_name"]
