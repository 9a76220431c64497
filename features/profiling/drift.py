"""How far the features of later months are from those of a reference month."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.profiling.divergence import kolmogorov_smirnov, population_stability, stability_by_chance
from features.profiling.profiles import bin_counts, edges
from features.trailing.config import Drift

_DECILES, _PERCENTILES = 10, 100
Found = tuple[str, str, str, float]  # feature, month, statistic, number


def drift(rows: DataFrame, reference: DataFrame, numbers: Sequence[str], labels: Sequence[str], month: str) -> list[Found]:
    """psi and ks of features that are numbers, new_labels of those that are labels, for each month after the reference.

    Bins are percentiles of the reference month, and null a bin of its own. psi is less what chance gives so few rows.

    Args:
        rows: of the reference month, of which there must be some, and of later ones, or samples; read several times.
        reference: all rows of the reference month, since a label that a sample lacks is not new.
        month: the reference.
    """
    bins = edges(rows.where(F.col("month") == month), numbers, _PERCENTILES)
    counted: dict[tuple[str, str], np.ndarray] = {}
    for feature, of, one, number in bin_counts(rows, bins, "month").collect() if numbers else []:
        counted.setdefault((feature, of), np.zeros(_PERCENTILES + 1))[one + 1] = number
    found: list[Found] = []
    for (feature, of), counts in sorted(counted.items()):
        if of > month:
            before = counted[feature, month]
            tenth = _tenths(before)
            tenths = np.bincount(tenth, before), np.bincount(tenth, counts)
            found.append((feature, of, "psi", max(0.0, population_stability(*tenths) - stability_by_chance(*tenths))))
            found.append((feature, of, "ks", kolmogorov_smirnov(before, counts)))
    return [*found, *[one for label in labels for one in _new_labels(rows, reference, label, month)]]


def _tenths(reference: np.ndarray) -> np.ndarray:
    """The larger bin of each bin: 0 for null, then 1 to 10 by the share of the reference that lies below the bin.

    Values that many rows share make bins of more than a percent, so tenths are not ten bins each; one that holds a tenth of
    the reference, or more, is a larger bin by itself, from 11 on.
    """
    numbers = reference[1:]
    shares = numbers / max(numbers.sum(), 1.0)
    tenths = 1 + np.minimum(((np.cumsum(shares) - shares) * _DECILES).astype(int), _DECILES - 1)
    heavy = shares >= 1 / _DECILES
    return np.concatenate([[0], np.where(heavy, _DECILES + np.cumsum(heavy), tenths)])


def _new_labels(rows: DataFrame, reference: DataFrame, label: str, month: str) -> list[Found]:
    known = reference.select(label).distinct().withColumn("known", F.lit(1))
    new = F.avg((F.col("known").isNull() & F.col(label).isNotNull()).cast("double"))
    months = rows.where(F.col("month") > month).join(known, label, "left").groupBy("month").agg(new.alias("new"))
    return [(label, row["month"], "new_labels", row["new"]) for row in months.orderBy("month").collect()]


def judge(found: Sequence[Found], rule: Drift) -> tuple[list[Found], list[Found]]:
    """Those of each feature's newest month that are beyond the threshold to warn, and those beyond the one to fail."""
    newest: dict[str, str] = {}
    for feature, month, _, _ in found:
        newest[feature] = max(month, newest.get(feature, month))
    warned, failed = [], []
    for one in found:
        feature, month, statistic, number = one
        limit = getattr(rule, statistic)
        if month < newest[feature]:
            continue
        if limit.fail is not None and number > limit.fail:
            failed.append(one)
        elif limit.warn is not None and number > limit.warn:
            warned.append(one)
    return warned, failed
