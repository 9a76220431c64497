"""The numbers that cleaning is fitted with: fitted by a run over everything, reused verbatim by a run over days."""

from __future__ import annotations

import datetime
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from features.cleaning import imputation, outliers
from features.cleaning.config import Impute, Outliers
from features.cleaning.outliers import training_events
from jobs.runtime.run import Run

OWNERS = ("events", "items", "users")
FITTED = f"owner IN {OWNERS}"  # what cleaning has stored
_NAME = ("owner", "column", "statistic")


class Statistics:
    """The rows of `statistics` that this run cleans with."""

    def __init__(self, run: Run) -> None:
        self.run, self.fitted = run, 0
        self.used: list[DataFrame] = []
        self.stored: DataFrame | None = None
        clean = run.config.clean
        if run.dates is not None and (clean.impute or clean.outliers) and run.exists("statistics"):
            self.stored = run.newest("statistics").where(FITTED)
        self.names: set[tuple[object, ...]] = set()
        if self.stored is not None:
            self.names = {tuple(row) for row in self.stored.select(*_NAME, F.to_date("fitted_until")).distinct().collect()}

    def of(self, rule: Impute | Outliers, rows: DataFrame) -> DataFrame:
        """Rows of `statistics` for one rule: stored ones where the run has dates and they were declared alike.

        Args:
            rows: what they are fitted on where they are not stored.
        """
        constant = isinstance(rule, Impute) and rule.with_ == "constant"
        if not constant and {(rule.table, rule.column, name, self._until(rule)) for name in rule.statistics} <= self.names:
            assert self.stored is not None  # noqa: S101  # names come from it
            mine = (F.col("owner") == rule.table) & (F.col("column") == rule.column) & F.col("statistic").isin(*rule.statistics)
            found = self.stored.where(mine)
        else:
            # Once, as it is applied, stored and grouped by later rules; and without its plan, which stands in that of the
            # rows it is applied to, and so in that of the next rule: plans would grow by a factor with every rule.
            found = self._fit(rule, rows).coalesce(1).localCheckpoint(storageLevel=StorageLevel.MEMORY_AND_DISK_2)
            self.fitted += 1
        self.used.append(found)
        return found

    def write(self) -> None:
        """Replaces what cleaning has stored. A run that has fitted nothing leaves the table as it is."""
        run = self.run
        if run.dates is not None and not self.fitted and run.exists("statistics"):
            return
        empty = run.spark.createDataFrame([], run.table("statistics").schema)
        rows = reduce(DataFrame.unionByName, self.used, empty).coalesce(1)
        run.write("statistics", rows, FITTED)

    def _fit(self, rule: Impute | Outliers, rows: DataFrame) -> DataFrame:
        if isinstance(rule, Impute):
            return imputation.fit(rows, rule)
        if rule.table != "events":
            return outliers.fit(rows, rule)
        day = self._until(rule)
        until = None if day is None else F.lit(datetime.datetime.combine(day, datetime.time(), datetime.UTC))
        return outliers.fit(training_events(rows, until), rule, until)

    def _until(self, rule: Impute | Outliers) -> datetime.date | None:
        """The day before which what is fitted ends, which the name does not say; None: it has no time, or no common one."""
        return self.run.config.clean.training_until if rule.table == "events" else None
