"""The contracts that a scenario declares for the columns of events, items and users."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.cleaning.check_config import Check
from features.cleaning.columns import CLEANED
from features.cleaning.duplicates import is_kept
from features.source.raw import SOURCE_ORDER
from features.source.reasons import any_of, reasons


def with_checks(rows: DataFrame, checks: Sequence[Check], references: dict[str, DataFrame]) -> DataFrame:
    """Adds broken rules to `reasons`, or to the new column `warnings` where a check only warns; not those of `unique`.

    A value that is null keeps every rule but not_null. A check that fails the run counts as a reason here; the job ends
    after the rows have gone to quarantine.

    Args:
        rows: `warnings` comes only where a check warns.
        references: by table name (items, users), a frame that holds the ids which exist, each once.
    """
    checks = [c for c in checks if c.rule != "unique"]
    for check in checks:
        if check.refers_to is not None and _known(check.column) not in rows.columns:
            ids = references[check.refers_to].select(check.column, F.lit(True).alias(_known(check.column)))
            rows = rows.join(ids, check.column, "left")
    broken = [(c.reason, _broken(c)) for c in checks if c.otherwise != "warn"]
    warned = [(c.reason, _broken(c)) for c in checks if c.otherwise == "warn"]
    added = {"reasons": _more_reasons(broken)} if broken else {}
    added |= {"warnings": reasons(warned)} if warned else {}
    return rows.withColumns(added).drop(*[_known(c.column) for c in checks]) if added else rows


def with_unique(rows: DataFrame, checks: Sequence[Check]) -> DataFrame:
    """Adds the broken rules of `unique`: of kept rows with one value, all but the first in source order break it.

    Args:
        rows: with `duplicate`, since a repetition is no second owner of its id.
    """
    for check in checks:
        if check.rule == "unique":
            rows = _with_repeated(rows, check)
    return rows


def value_of(column: str) -> Column:
    """A column by its declared name: price, or context.device for an entry of a map."""
    name, dot, key = column.partition(".")
    return F.col(name).getItem(key) if dot else F.col(name)


def _with_repeated(rows: DataFrame, check: Check) -> DataFrame:
    counts = is_kept() & value_of(check.column).isNotNull()
    alone = F.when(~counts, F.struct(*SOURCE_ORDER))  # else all rows without a value would meet in one task
    first = Window.partitionBy(value_of(check.column), alone).orderBy(*SOURCE_ORDER)
    numbered = rows.withColumn("_nth", F.row_number().over(first))
    target = "warnings" if check.otherwise == "warn" else "reasons"
    before = F.col(target) if target in rows.columns else F.array().cast("array<string>")
    found = F.when(F.col("_nth") > 1, F.concat(before, F.array(F.lit(check.reason)))).otherwise(before)
    return numbered.withColumn(target, found).drop("_nth")


def _more_reasons(broken: Sequence[tuple[str, Column]]) -> Column:
    more = any_of([condition for _, condition in broken]) & ~F.array_contains("reasons", "line_broken")
    return F.when(more, F.concat("reasons", reasons(broken))).otherwise(F.col("reasons"))


def _known(column: str) -> str:
    return f"{column}_is_known"


def _broken(check: Check) -> Column:
    column = value_of(check.column)
    if check.refers_to is not None:
        return column.isNotNull() & F.col(_known(check.column)).isNull()
    if CLEANED[check.table].kind(check.column) == "list":
        return F.size(column) == 0 if check.not_null else F.exists(column, lambda entry: _entry_breaks(check, entry))
    return column.isNull() if check.not_null else _entry_breaks(check, column)


def _entry_breaks(check: Check, value: Column) -> Column:
    if check.between is not None:
        return ~value.between(*check.between)
    return ~value.isin(*check.one_of) if check.one_of is not None else ~value.rlike(check.matches or "")
