"""Features of chosen keys as of chosen days, each from its own tiles: cheap where the days are few.

Where features of every tile are wanted, windows.py makes them in one pass; here each row that is asked for is joined with
the tiles before it.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.schema import month_of
from features.trailing.feature import Declared, longest_window, windows_of
from features.trailing.operations import Part, Past
from features.trailing.windows import ratios, value

TILE_DATE = "tile_date"


class JoinedPast(Past):
    """The tiles of one window among those that are joined to a row, told by plain comparisons of days."""

    @property
    def tile_date(self) -> Column:
        return F.when(self._inside(), F.col(TILE_DATE))

    def column(self, part: Part) -> Column:
        return F.when(self._inside(), F.col(f"{self.prefix}{part.name}"))

    def over(self, aggregate: Column) -> Column:
        return aggregate

    def within(self, days: int) -> JoinedPast:
        return JoinedPast(days, self.prefix)

    def _inside(self) -> Column:
        return _within(self.days)


def _within(days: int) -> Column:
    """True: the tile is of one of the whole days before the row's own."""
    return (F.col(TILE_DATE) < F.col("date")) & (F.col(TILE_DATE) >= F.date_sub("date", days))


def features_as_of(tiles: DataFrame, spine: DataFrame, entity: str, declared: Declared) -> DataFrame:
    """The rows of feature_table(entity, declared) for `spine`, and no others.

    Args:
        tiles: day tiles, those of longest_window(declared) days before each day that is asked for among them.
        spine: distinct {entity}_id and date.
    """
    key = f"{entity}_id"
    before = tiles.drop("month").withColumnRenamed("date", TILE_DATE)
    reached = _within(longest_window(declared))
    joined = (
        spine.select(key, "date")
        .alias("spine")
        .join(before.alias("tile"), (F.col(f"spine.{key}") == F.col(f"tile.{key}")) & reached, "left")
    )
    joined = joined.drop(F.col(f"tile.{key}"))
    values = [value(f, JoinedPast(max(window), f.prefix)).alias(name) for name, (f, window) in windows_of(declared).items()]
    found = joined.groupBy(key, "date").agg(F.first(F.lit(True)).alias("any"), *values)
    return found.select(key, "date", month_of("date").alias("month"), *windows_of(declared), *ratios(declared))
