"""Quantiles of a number, exact, overall or within groups: fitted, and the place of a value among them."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.scaling import statistic_rows

STEPS = 20  # of the scaling by quantile: knots at 0 %, 5 %, ..., 100 %


def knot(i: int, steps: int) -> str:
    """Name of the statistic below which i / steps of the values lie."""
    return f"quantile_{i}_of_{steps}"


def fit_quantiles(
    df: DataFrame, owner: str, column: str, value: Column, steps: int, until: int, group: Column | None = None
) -> DataFrame:
    """The steps + 1 knots from the least value to the greatest, as rows of `statistics`.

    Args:
        value: double; null: left out.
        group: string, within which knots are fitted too, beside those over all rows (group is empty); null: in no group.
    """
    groups = F.array(F.lit("")) if group is None else F.array_compact(F.array(F.lit(""), group))
    rows = df.select(value.alias("value"), F.explode(groups).alias("group")).where(F.col("value").isNotNull())
    shares = F.array(*[F.lit(i / steps) for i in range(steps + 1)])
    knots = rows.groupBy("group").agg(F.percentile("value", shares).alias("knots"))
    names = F.array(*[F.lit(knot(i, steps)) for i in range(steps + 1)])
    pairs = knots.select("group", F.inline(F.arrays_zip(names.alias("statistic"), F.col("knots").alias("number"))))
    return statistic_rows(pairs.toDF("group", "statistic", "number").withColumn("column", F.lit(column)), owner, until)


def knots_by_group(statistics: DataFrame, owner: str, column: str, steps: int) -> DataFrame:
    """`group` and `knots` (array<double>, ascending), one row per group that was fitted."""
    names = [knot(i, steps) for i in range(steps + 1)]
    of_column = (F.col("owner") == owner) & (F.col("column") == column) & F.col("statistic").isin(names)
    groups = statistics.where(of_column & (F.col("group") != "")).groupBy("group")
    return groups.agg(F.sort_array(F.collect_list("number")).alias("knots"))


def quantile(value: Column, knots: Column) -> Column:
    """The share of the fitted values below a value, in [0, 1]: linear between knots, the middle where knots coincide.

    Args:
        value: double; null gives null.
        knots: array<double>, ascending; null gives null.
    """
    steps = F.size(knots) - 1
    below, upto = F.size(F.filter(knots, lambda k: k < value)), F.size(F.filter(knots, lambda k: k <= value))
    low, high = F.get(knots, below - 1), F.get(knots, below)
    between = (below - 1 + (value - low) / (high - low)) / steps
    share = (
        F.when(upto == 0, F.lit(0.0))
        .when(below > steps, F.lit(1.0))
        .when(below < upto, (below + upto - 1) / 2 / steps)
        .otherwise(between)
    )
    return F.when(value.isNotNull() & knots.isNotNull(), share)


def bucket(value: Column, edges: list[float]) -> Column:
    """Number of the edges that do not exceed the value, int; null gives null."""
    if not edges:
        return F.when(value.isNotNull(), F.lit(0))
    reached = [(value >= F.lit(edge)).cast("int") for edge in edges]
    total = reached[0]
    for one in reached[1:]:
        total = total + one
    return total
