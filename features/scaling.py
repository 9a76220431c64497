"""z-scores: fitted on the training period, stored in `statistics`, and applied by training and scoring alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

# Counts, sums and prices are spread over orders of magnitude: their logarithm is what is scaled.
_LOGARITHMIC = re.compile(r"^price$|_(count|sum)_\d+d$")


@dataclass(frozen=True)
class ZScore:
    """Mean and standard deviation (of the population) in the training period."""

    mean: float
    std: float


def _shaped(name: str) -> Column:
    """The column, or sign(x) log(1 + |x|) of one that is spread over orders of magnitude."""
    column = F.col(name).cast("double")
    return F.signum(column) * F.log1p(F.abs(column)) if _LOGARITHMIC.search(name) else column


def fit(df: DataFrame, owner: str, names: Sequence[str], until: int) -> DataFrame:
    """Mean and standard deviation of columns, as rows of `statistics`; no row where a column has no value.

    They are rounded to float32, which is what they will be applied in: partial sums are added in any order, and a
    rerun should find the same numbers.

    Args:
        df: rows of the training period only.
        owner: table that the columns belong to.
        until: instant before which the data ended, in microseconds since 1970-01-01 UTC.
    """
    fitted = {"mean": F.avg, "std": F.stddev_pop}
    pairs = [(name, statistic) for name in names for statistic in fitted]
    numbers = [fitted[s](_shaped(n)).cast("float").cast("double").alias(f"{i}") for i, (n, s) in enumerate(pairs)]
    rows = [
        F.struct(F.lit(n).alias("column"), F.lit(s).alias("statistic"), F.col(f"{i}").alias("number"))
        for i, (n, s) in enumerate(pairs)
    ]
    return (
        df.agg(*numbers)
        .select(F.inline(F.array(*rows)))
        .where(F.col("number").isNotNull())
        .select(
            F.lit(owner).alias("owner"),
            "column",
            F.lit("").alias("group"),
            "statistic",
            "number",
            F.lit(None).cast("string").alias("label"),
            F.timestamp_micros(F.lit(until)).alias("fitted_until"),
        )
    )


def z_scores(statistics: DataFrame, owner: str) -> dict[str, ZScore]:
    """The z-scores of a table's columns, by column. Collects as many rows as there are columns."""
    rows = (
        statistics.where((F.col("owner") == owner) & (F.col("group") == "")).select("column", "statistic", "number").collect()
    )
    numbers = {(row["column"], row["statistic"]): row["number"] for row in rows}
    return {
        column: ZScore(mean, numbers[column, "std"])
        for (column, statistic), mean in numbers.items()
        if statistic == "mean" and (column, "std") in numbers
    }


def scale(name: str, fitted: Mapping[str, ZScore]) -> Column:
    """The column's z-score as float, never null: 0, the mean, where it is null, was not fitted or did not vary."""
    score = fitted.get(name)
    if score is None or score.std == 0:
        return F.lit(0.0).cast("float")
    return F.coalesce(((_shaped(name) - score.mean) / score.std).cast("float"), F.lit(0.0).cast("float"))
