"""Statistics of feature columns, month by month, and the counts that drift and information are computed from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.schema import NUMBERS
from features.schema import Column as Declared

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
DECILES = 10
_NO_VALUE = -1  # bin of null


def _statistics(column: Declared) -> dict[str, Column]:
    """Aggregates of one column by the name of the statistic. A map or list without entries counts as null."""
    value = F.col(column.name)
    if column.type not in (*NUMBERS, "string"):
        return {"nulls": F.avg((F.size(value) <= 0).cast("double"))}
    found = {"nulls": F.avg(value.isNull().cast("double")), "distinct": F.approx_count_distinct(value).cast("double")}
    if column.type in NUMBERS:
        quantiles = F.percentile_approx(value.cast("double"), list(QUANTILES))
        found |= {"mean": F.avg(value.cast("double")), "std": F.stddev_pop(value.cast("double"))}
        found |= {f"quantile_{q:g}": quantiles[i] for i, q in enumerate(QUANTILES)}
    return found


def profile(rows: DataFrame, columns: Sequence[Declared]) -> DataFrame:
    """feature, month, statistic and number (null: no row has a value), and the statistic `rows`, of each month.

    One pass over the rows, whatever the number of columns.
    """
    named = [(c.name, s, aggregate) for c in columns for s, aggregate in _statistics(c).items()]
    named += [(c.name, "rows", F.count("*").cast("double")) for c in columns]
    months = rows.groupBy("month").agg(*[aggregate.alias(str(i)) for i, (_, _, aggregate) in enumerate(named)])
    parts = [
        F.struct(F.lit(name).alias("feature"), F.lit(statistic).alias("statistic"), F.col(str(i)).alias("number"))
        for i, (name, statistic, _) in enumerate(named)
    ]
    return months.select("month", F.inline(F.array(*parts))).select("feature", "month", "statistic", "number")


def sample(rows: DataFrame, key: str, number: int, total: int) -> DataFrame:
    """About `number` rows of `total`, the same ones in every run: by a hash of key and date."""
    return rows if total <= number else rows.where(_hash_fraction(key) < number / total)


def sample_months(rows: DataFrame, key: str, number: int, totals: Mapping[str, int]) -> DataFrame:
    """About `number` rows, as many of each month or all that it has, the same ones in every run; all, if there are no more.

    Args:
        totals: rows of each month that is asked for.
    """
    if sum(totals.values()) <= number:
        return rows.where(F.col("month").isin(*totals))
    share = [part for month, total in totals.items() for part in (F.lit(month), F.lit(number / len(totals) / total))]
    return rows.where(F.col("month").isin(*totals) & (_hash_fraction(key) < F.create_map(*share)[F.col("month")]))


def _hash_fraction(key: str) -> Column:
    """A number from 0 to 1, without 1, that a hash of key and date draws."""
    return F.pmod(F.xxhash64(key, "date"), F.lit(1_000_000)) / 1_000_000


def edges(rows: DataFrame, names: Sequence[str], bins: int) -> dict[str, list[float]]:
    """Upper edges of bins that hold about as many rows each; empty where a column has no value.

    A value that is an edge of several such bins has a bin of its own, so that it is not mixed with what lies below it.
    """
    shares = [i / bins for i in range(1, bins)]
    found = rows.agg(*[F.percentile_approx(F.col(n).cast("double"), shares).alias(n) for n in names]).head() if names else None
    return {name: _apart(found[name] or []) if found else [] for name in names}


def _apart(found: Sequence[float]) -> list[float]:
    """Edges without repetition: where there is one, the number just below it is an edge as well."""
    heavy = [value for value, times in Counter(found).items() if times > 1]
    return sorted({*found, *[math.nextafter(value, -math.inf) for value in heavy]})


def bin_of(name: str, upper: Sequence[float]) -> Column:
    """Number of the bin, 0 for the lowest, of a column's value, which is at most the bin's edge; -1 where it has none."""
    value = F.col(name).cast("double")
    above = F.size(F.filter(F.array(*[F.lit(e) for e in upper]), lambda e: value > e)) if upper else F.lit(0)
    return F.when(value.isNull(), _NO_VALUE).otherwise(above)


def bin_counts(rows: DataFrame, bins: Mapping[str, Sequence[float]], by: str) -> DataFrame:
    """feature, `by`, bin and rows: how many rows of each group lie in each bin of each feature."""
    pairs = [F.struct(F.lit(name).alias("feature"), bin_of(name, upper).alias("bin")) for name, upper in bins.items()]
    return rows.select(by, F.inline(F.array(*pairs))).groupBy("feature", by, "bin").agg(F.count("*").alias("rows"))
