"""How far the features of later months are from those of a reference month."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.profiling.config import Drift
from features.profiling.divergence import kolmogorov_smirnov, population_stability, stability_by_chance
from features.profiling.profiles import DECILES, bin_counts, edges

_PERCENTILES = 100


class Drifted(NamedTuple):
    """How far one feature is in one month from the reference month, by one statistic."""

    feature: str
    month: str
    statistic: str  # psi, ks or new_labels
    number: float


def drift(rows: DataFrame, reference: DataFrame, numbers: Sequence[str], labels: Sequence[str], month: str) -> list[Drifted]:
    """psi and ks of features that are numbers, new_labels of those that are labels, for each month after the reference.

    Bins are percentiles of the reference month, and null a bin of its own. psi is less what chance gives so few rows.

    Args:
        rows: of the reference month, of which there must be some, and of later ones, or samples; read several times.
        reference: all rows of the reference month, since a label that a sample lacks is not new.
        month: the reference.
    """
    bins = edges(rows.where(F.col("month") == month), numbers, _PERCENTILES)
    counted: dict[tuple[str, str], np.ndarray] = {}
    for feature, later, bin_index, number in bin_counts(rows, bins, "month").collect() if numbers else []:
        counted.setdefault((feature, later), np.zeros(_PERCENTILES + 1))[bin_index + 1] = number  # null is bin -1
    found: list[Drifted] = []
    for (feature, later), counts in sorted(counted.items()):
        if later > month:
            before = counted[feature, month]
            tenth = _tenths(before)
            tenths = np.bincount(tenth, before), np.bincount(tenth, counts)
            psi = max(0.0, population_stability(*tenths) - stability_by_chance(*tenths))
            found.append(Drifted(feature, later, "psi", psi))
            found.append(Drifted(feature, later, "ks", kolmogorov_smirnov(before, counts)))
    for label in labels:
        found += _new_labels(rows, reference, label, month)
    return found


def _tenths(reference: np.ndarray) -> np.ndarray:
    """The larger bin of each bin: 0 for null, then 1 to 10 by the share of the reference that lies below the bin.

    Values that many rows share make bins of more than a percent, so tenths are not ten bins each; one that holds a tenth of
    the reference, or more, is a larger bin by itself, from 11 on.
    """
    numbers = reference[1:]
    shares = numbers / max(numbers.sum(), 1.0)
    tenths = 1 + np.minimum(((np.cumsum(shares) - shares) * DECILES).astype(int), DECILES - 1)
    heavy = shares >= 1 / DECILES
    return np.concatenate([[0], np.where(heavy, DECILES + np.cumsum(heavy), tenths)])


def _new_labels(rows: DataFrame, reference: DataFrame, label: str, month: str) -> list[Drifted]:
    known = reference.select(label).distinct().withColumn("known", F.lit(1))
    new = F.avg((F.col("known").isNull() & F.col(label).isNotNull()).cast("double"))
    months = rows.where(F.col("month") > month).join(known, label, "left").groupBy("month").agg(new.alias("new"))
    return [Drifted(label, row["month"], "new_labels", row["new"]) for row in months.orderBy("month").collect()]


def beyond_thresholds(found: Sequence[Drifted], rule: Drift) -> tuple[list[Drifted], list[Drifted]]:
    """Those of each feature's newest month that are beyond the threshold to warn, and those beyond the one to fail."""
    newest: dict[str, str] = {}
    for drifted in found:
        newest[drifted.feature] = max(drifted.month, newest.get(drifted.feature, drifted.month))
    warned, failed = [], []
    for drifted in found:
        threshold = getattr(rule, drifted.statistic)
        if drifted.month < newest[drifted.feature]:
            continue
        if threshold.fail is not None and drifted.number > threshold.fail:
            failed.append(drifted)
        elif threshold.warn is not None and drifted.number > threshold.warn:
            warned.append(drifted)
    return warned, failed
