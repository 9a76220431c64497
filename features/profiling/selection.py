"""Which features are kept: a declared rule over what the training rows say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.stat import Correlation
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.profiling.config import Selection
from features.profiling.divergence import information_by_chance, mutual_information
from features.profiling.profiles import DECILES, bin_counts, bin_of, edges

LABEL = "label"
_ROUNDING = 1e-9  # what the order of sums may take from a correlation of 1


@dataclass(frozen=True)
class Measured:
    """What the rule knows of a feature, over the rows of the training period."""

    nulls: float  # share of rows without a value
    distinct: int  # different values
    information: float  # mutual information with the label in nats, less what chance gives so few rows


@dataclass(frozen=True)
class Choice:
    kept: bool
    reason: str  # why not; empty: kept
    cluster: int  # features of one number are correlated beyond the limit, directly or through others


def measure(rows: DataFrame, names: Sequence[str]) -> tuple[dict[str, Measured], np.ndarray]:
    """What the rule needs of each feature, and the correlations (features, features) of all pairs.

    Args:
        rows: training rows with `label`, some of them at least; read several times.
        names: features that are numbers, one at least.
    """
    totals = [*[F.count(n) for n in names], *[F.approx_count_distinct(n) for n in names], F.count("*")]
    counts = rows.agg(*totals).collect()[0]
    bins = edges(rows, [*names, LABEL], DECILES)
    information = _information(rows, names, bins)
    measured = {
        name: Measured(1 - counts[i] / counts[-1], counts[len(names) + i], information[name]) for i, name in enumerate(names)
    }
    if counts[-1] < 2:
        return measured, np.eye(len(names))  # of one row there is no correlation
    return measured, _correlations(rows, names)


def _information(rows: DataFrame, names: Sequence[str], bins: Mapping[str, list[float]]) -> dict[str, float]:
    """Mutual information of each feature with the label, both by deciles, less that of chance; null is a bin of its own."""
    binned = rows.withColumn("label_bin", bin_of(LABEL, bins[LABEL]))
    joint = {name: np.zeros((DECILES + 1, DECILES + 1)) for name in names}
    for feature, label_bin, bin_index, number in bin_counts(binned, {n: bins[n] for n in names}, "label_bin").collect():
        joint[feature][bin_index + 1, label_bin + 1] = number  # null is bin -1
    return {name: max(0.0, mutual_information(counts) - information_by_chance(counts)) for name, counts in joint.items()}


def _correlations(rows: DataFrame, names: Sequence[str]) -> np.ndarray:
    """Pearson's correlation of each pair; where a feature is null, its median stands, and 0 where it has none."""
    medians = rows.agg(*[F.percentile_approx(F.col(n).cast("double"), 0.5).alias(n) for n in names]).collect()[0]
    filled = rows.select(*[F.coalesce(F.col(n).cast("double"), F.lit(medians[n]), F.lit(0.0)).alias(n) for n in names])
    vectors = VectorAssembler(inputCols=list(names), outputCol="features").transform(filled)
    return Correlation.corr(vectors, "features").collect()[0][0].toArray()


def clusters(correlations: np.ndarray, limit: float) -> list[int]:
    """Number of each feature's cluster, in order of its first feature: those linked by |correlation| >= limit, up to rounding.

    Args:
        correlations: (features, features); nan, of a feature that does not vary, links nothing.
    """
    linked = np.nan_to_num(np.abs(correlations)) >= limit - _ROUNDING
    found = [-1] * len(correlations)
    for first in range(len(correlations)):
        if found[first] >= 0:
            continue
        number, reached = max(found, default=-1) + 1, [first]
        while reached:
            feature = reached.pop()
            if found[feature] < 0:
                found[feature] = number
                reached += [int(other) for other in np.flatnonzero(linked[feature])]
    return found


def choose(measured: Mapping[str, Measured], correlations: np.ndarray, rule: Selection) -> dict[str, Choice]:
    """What becomes of each feature. Of a cluster the most informative stays, the first declared where several are.

    Args:
        measured: by feature, in the order of declaration.
        correlations: (features, features), in that order.
    """
    cluster_of = dict(zip(measured, clusters(correlations, rule.max_correlation), strict=True))
    reasons = {name: _reason(measured[name], rule) for name in measured}
    for number in set(cluster_of.values()):
        members = [name for name, cluster in cluster_of.items() if cluster == number and not reasons[name]]
        best = max(members, key=lambda name: measured[name].information, default="")
        reasons |= {name: f"correlated with {best}" for name in members if name != best}
    return {name: Choice(not reasons[name], reasons[name], cluster) for name, cluster in cluster_of.items()}


def _reason(feature: Measured, rule: Selection) -> str:
    if feature.nulls > rule.max_nulls:
        return f"{feature.nulls:.3f} of it are null"
    if feature.distinct < rule.min_distinct:
        return f"{feature.distinct} different values"
    if feature.information < rule.min_information:
        return f"{feature.information:.4f} nats of the label"
    return ""
