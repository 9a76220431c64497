"""The rules that a scenario declares for events, and references to the tables of items and users."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.clean_config import Check
from features.parsing import reasons


def reason(check: Check) -> str:
    """The name that a broken check goes by."""
    if check.between is not None:
        return f"{check.column}_out_of_range"
    if check.refers_to is not None:
        return f"{check.column}_unknown"
    return f"{check.column}_{'not_allowed' if check.one_of is not None else 'mismatch'}"


def with_checks(events: DataFrame, checks: Sequence[Check], references: dict[str, DataFrame]) -> DataFrame:
    """Adds broken rules to `reasons`, or to the new column `warnings` where a check only warns.

    A value that is null keeps every rule: that it must be there is a rule of its own. A check that fails the run counts as
    a reason here; the job ends after the rows have gone to quarantine.

    Args:
        references: by table name (items, users), a frame that holds the ids which exist, each once.
    """
    for check in checks:
        if check.refers_to is not None and _known(check.column) not in events.columns:
            ids = references[check.refers_to].select(check.column, F.lit(True).alias(_known(check.column)))
            events = events.join(ids, check.column, "left")
    broken = [(reason(c), _broken(c)) for c in checks if c.otherwise != "warn"]
    warned = [(reason(c), _broken(c)) for c in checks if c.otherwise == "warn"]
    more = F.when(F.array_contains("reasons", "line_broken"), F.col("reasons"))
    checked = events.withColumns(
        {
            "reasons": more.otherwise(F.concat("reasons", reasons(broken))) if broken else F.col("reasons"),
            "warnings": reasons(warned) if warned else F.array().cast("array<string>"),
        }
    )
    return checked.drop(*[_known(c.column) for c in checks])


def _known(column: str) -> str:
    return f"{column}_is_known"


def _broken(check: Check) -> Column:
    column = F.col(check.column)
    if check.between is not None:
        return ~column.between(*check.between)
    if check.one_of is not None:
        return ~column.isin(*check.one_of)
    if check.matches is not None:
        return ~column.rlike(check.matches)
    return column.isNotNull() & F.col(_known(check.column)).isNull()
