"""What was fitted for the content of items or users, as it was stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.content.projections import Projection, read_projection
from features.quantiles import knots_by_group

Numbers = Mapping[tuple[str, str], float]  # column and statistic to what was fitted over all rows


@dataclass(frozen=True)
class Fitted:
    """Reads each number once, when it is asked for first.

    Attributes:
        owner: item_content or user_content.
        statistics: the table, at the version to encode by.
        projections: likewise; None: there is no such table, and nothing declared that needs it.
    """

    owner: str
    statistics: DataFrame
    projections: DataFrame | None = None

    @cached_property
    def numbers(self) -> Numbers:
        """Collects as many rows as there were numbers fitted over all rows: they follow from what is declared."""
        own = self.statistics.where((F.col("owner") == self.owner) & (F.col("group") == ""))
        return {(row["column"], row["statistic"]): row["number"] for row in own.collect()}

    def of(self, column: str) -> dict[str, float]:
        """The numbers of one column, by statistic."""
        return {statistic: number for (name, statistic), number in self.numbers.items() if name == column}

    def knots(self, column: str, steps: int) -> DataFrame:
        """`group` and `knots` of a number's quantiles within groups."""
        return knots_by_group(self.statistics, self.owner, column, steps)

    def projection(self, column: str) -> Projection | None:
        return None if self.projections is None else read_projection(self.projections, self.owner, column)
