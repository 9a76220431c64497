"""Missing content of items and users, filled by a declared statistic; a flag column says where.

A catalogue has no time, so statistics are fitted on the catalogue as it is. They say nothing of what users did, hence
nothing of the future; and they are stored, so that the values can be had again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.cleaning.config import Impute
from features.cleaning.grouped import FITTED, group_of, with_fitted
from features.schema import conform
from features.tables import STATISTICS


def imputed(entities: DataFrame, rules: Sequence[Impute], statistics: Callable[[Impute, DataFrame], DataFrame]) -> DataFrame:
    """The entities with missing values filled. Observed values never change.

    Rules apply in their order: a later one may group by what an earlier one has filled.

    Args:
        statistics: gives the rows of `statistics` for a rule, fitted on these entities or at an earlier time.
    """
    for rule in rules:
        entities = fill(entities, rule, statistics(rule, entities))
    return entities


def fit(entities: DataFrame, rule: Impute) -> DataFrame:
    """Rows of `statistics` for one rule: over all rows (group is empty), and per group where the rule names one.

    A mean is taken over decimals, so it does not depend on the order of the rows.
    """
    label = rule.column == "categories"
    observed = entities.where(~_is_missing(rule.column) & ~F.col(f"{rule.column}_imputed"))
    found = observed.groupBy(F.lit("").alias("group")).agg(_statistic(rule).alias("value"))
    if rule.with_ == "constant":
        value = str(rule.value) if label else float(str(rule.value))
        found = entities.limit(1).select(F.lit("").alias("group"), F.lit(value).alias("value"))
    elif rule.by is not None:
        groups = observed.where(group_of(rule.by).isNotNull()).groupBy(group_of(rule.by).alias("group"))
        found = found.unionByName(groups.agg(_statistic(rule).alias("value")))
    rows = found.where(F.col("value").isNotNull()).select(
        F.lit(rule.table).alias("owner"),
        F.lit(rule.column).alias("column"),
        F.coalesce("group", F.lit("")).alias("group"),
        F.lit(rule.statistics[0]).alias("statistic"),
        (F.lit(None) if label else F.col("value")).cast("double").alias("number"),
        (F.col("value") if label else F.lit(None)).cast("string").alias("label"),
        F.lit(None).cast("timestamp").alias("fitted_until"),
    )
    return conform(rows, STATISTICS)


def fill(entities: DataFrame, rule: Impute, statistics: DataFrame) -> DataFrame:
    """Missing values of one column filled by the group's statistic, or by that over all rows where the group has none."""
    value = F.array("label") if rule.column == "categories" else F.col("number")
    found = with_fitted(entities, statistics.select("group", value.alias("value")), rule.by)
    filled = _is_missing(rule.column) & F.col(FITTED).isNotNull()
    return found.withColumns(
        {
            f"{rule.column}_imputed": filled | F.col(f"{rule.column}_imputed"),
            rule.column: F.when(filled, F.col(FITTED)).otherwise(F.col(rule.column)),
        }
    ).drop(FITTED)


def mean_of(column: str) -> Column:
    """Mean over decimals of 8 places, which is the same in any order of the rows; of numbers below 1e16."""
    return F.avg(F.col(column).try_cast("decimal(24,8)")).cast("double")


def _statistic(rule: Impute) -> Column:
    if rule.column == "categories":
        return F.mode(F.get("categories", F.lit(0)), deterministic=True)  # the most frequent first category
    column = F.col(rule.column)
    return {
        "mean": mean_of(rule.column),
        "median": F.median(column),
        "mode": F.mode(column, deterministic=True),
        "constant": F.first(column),
    }[rule.with_]


def _is_missing(column: str) -> Column:
    return F.size("categories") == 0 if column == "categories" else F.col(column).isNull()
