"""A fitted value for each row: that of its group, or that over all rows where its group has none."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

FITTED = "_fitted"


def group_of(by: str | None) -> Column:
    """The group of a row, null where it has none; empty where a rule names no column. Of categories it is the first."""
    if by is None:
        return F.lit("")
    return F.get("categories", F.lit(0)) if by == "categories" else F.col(by)


def with_fitted(rows: DataFrame, values: DataFrame, by: str | None) -> DataFrame:
    """Adds the column FITTED, null where nothing was fitted.

    Args:
        values: `group` (empty: over all rows) and `value`, one row per group.
        by: column that the rows are grouped by; None: not at all.
    """
    overall = values.where(F.col("group") == "").select(F.col("value").alias("_overall"))
    joined = rows.join(F.broadcast(overall), F.lit(True), "left")
    best = F.col("_overall")
    if by is not None:
        groups = values.where(F.col("group") != "").select(F.col("group").alias("_group"), F.col("value").alias("_of_group"))
        joined = joined.join(F.broadcast(groups), group_of(by) == F.col("_group"), "left")
        best = F.coalesce("_of_group", "_overall")
    return joined.withColumn(FITTED, best).drop("_overall", "_group", "_of_group")
