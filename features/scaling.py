"""z-scores and other statistics: fitted on the training period, stored in `statistics`, applied by training and scoring."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

MEAN, STD = "mean", "std"  # of the population
LOG_MEAN, LOG_STD = "log_mean", "log_std"  # of the signed logarithm


@dataclass(frozen=True)
class ZScore:
    """Mean and standard deviation (of the population) in the training period, of a number or of its signed logarithm."""

    mean: float
    std: float
    of_log: bool = False

    def of(self, column: Column) -> Column:
        """The z-score of a double; null where it is null or did not vary."""
        shaped = signed_log(column) if self.of_log else column
        return (shaped - self.mean) / self.std if self.std else F.lit(None).cast("double")


def signed_log(column: Column) -> Column:
    """sign(x) log(1 + |x|): of a number that is spread over orders of magnitude."""
    return F.signum(column) * F.log1p(F.abs(column))


def rounded(number: Column) -> Column:
    """To float32, which is what it will be applied in: partial sums are added in any order, and a rerun should find the
    same number."""
    return number.cast("float").cast("double")


def moments(column: Column, of_log: bool = False) -> dict[str, Column]:
    """The aggregates that a z-score is made of, by name of the statistic."""
    mean, std = (LOG_MEAN, LOG_STD) if of_log else (MEAN, STD)
    shaped = signed_log(column) if of_log else column
    return {mean: rounded(F.avg(shaped)), std: rounded(F.stddev_pop(shaped))}


def fit(df: DataFrame, owner: str, names: Sequence[str], until: int, logarithmic: Collection[str] = ()) -> DataFrame:
    """Mean and standard deviation of columns, as rows of `statistics`; no row where a column has no value.

    Args:
        df: rows of the training period only.
        owner: table that the columns belong to.
        until: instant before which the data ended, in microseconds since 1970-01-01 UTC.
        logarithmic: those of `names` that are spread over orders of magnitude: their logarithm is what is scaled.
    """
    found = {name: moments(F.col(name).cast("double"), name in logarithmic) for name in names}
    return fit_all(df, owner, {(name, s): number for name, numbers in found.items() for s, number in numbers.items()}, until)


def fit_all(df: DataFrame, owner: str, aggregates: Mapping[tuple[str, str], Column], until: int) -> DataFrame:
    """Aggregates over all rows, by column and statistic, as rows of `statistics`; no row where one is null."""
    if not aggregates:
        nothing = [F.lit(None).cast("string").alias(name) for name in ("column", "group", "statistic", "number")]
        return statistic_rows(df.limit(0).select(*nothing), owner, until)
    rows = [
        F.struct(
            F.lit(column).alias("column"),
            F.lit("").alias("group"),
            F.lit(name).alias("statistic"),
            F.col(f"{i}").alias("number"),
        )
        for i, (column, name) in enumerate(aggregates)
    ]
    numbers = [number.alias(f"{i}") for i, number in enumerate(aggregates.values())]
    return statistic_rows(df.agg(*numbers).select(F.inline(F.array(*rows))), owner, until)


def statistic_rows(numbers: DataFrame, owner: str, until: int) -> DataFrame:
    """column, group, statistic and number as rows of `statistics`, without those that are null."""
    return numbers.where(F.col("number").isNotNull()).select(
        F.lit(owner).alias("owner"),
        "column",
        "group",
        "statistic",
        F.col("number").cast("double").alias("number"),
        F.lit(None).cast("string").alias("label"),
        F.timestamp_micros(F.lit(until)).alias("fitted_until"),
    )


def z_scores(statistics: DataFrame, owner: str) -> dict[str, ZScore]:
    """The z-scores of a table's columns, by column. Collects as many rows as there are columns."""
    rows = (
        statistics.where((F.col("owner") == owner) & (F.col("group") == "")).select("column", "statistic", "number").collect()
    )
    numbers = {(row["column"], row["statistic"]): row["number"] for row in rows}
    return {
        column: ZScore(mean, numbers[column, std], of_log=std == LOG_STD)
        for (column, statistic), mean in numbers.items()
        if (std := {MEAN: STD, LOG_MEAN: LOG_STD}.get(statistic)) and (column, std) in numbers
    }


def scale(name: str, fitted: Mapping[str, ZScore]) -> Column:
    """The column's z-score as float, never null: 0, the mean, where it is null, was not fitted or did not vary."""
    mean, score = F.lit(0.0).cast("float"), fitted.get(name)
    return mean if score is None else F.coalesce(score.of(F.col(name).cast("double")).cast("float"), mean)


def scored_values(events: DataFrame, statistics: DataFrame) -> DataFrame:
    """The events that have a value, with `z`, its z-score; none where values are implicit.

    Args:
        events: with `value`.
        statistics: with the owner `sequences`.
    """
    fitted = z_scores(statistics, "sequences")
    valued = events.where(F.col("value").isNotNull() & F.lit("value" in fitted))
    return valued.withColumn("z", scale("value", fitted))
