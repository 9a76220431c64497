"""Trailing features: what the tiles of the whole days before a row's own day amount to."""

from __future__ import annotations

import datetime

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from features.schema import month_of
from features.trailing.feature import Declared, Feature, Ratio, windows_of
from features.trailing.operations import Part, Past


class TrailingPast(Past):
    """A window over rows of tiles, ordered by day. The one place where trailing windows are built."""

    def __init__(self, key: str, days: int, prefix: str) -> None:
        super().__init__(days, prefix)
        self.key = key
        self.window = Window.partitionBy(key).orderBy(F.unix_date("date")).rangeBetween(-days, -1)

    @property
    def tile_date(self) -> Column:
        return F.col("date")

    def column(self, part: Part) -> Column:
        return F.col(f"{self.prefix}{part.name}")

    def over(self, aggregate: Column) -> Column:
        return aggregate.over(self.window)

    def sum(self, part: Part) -> Column:
        """Of whole numbers, the difference of two running sums: exact, and each row is added once and not once a window.

        Floats are added up window by window: the difference of two large sums would be rounded as large sums are.
        """
        if part.type != "bigint":
            return super().sum(part)
        running = [F.sum(self.column(part)).over(self._until(days)) for days in (1, self.days + 1)]
        before, earlier = (F.coalesce(sum_, F.lit(0)) for sum_ in running)
        return before - earlier

    def _until(self, days: int) -> WindowSpec:
        """All days up to `days` before the row's own."""
        ordered = Window.partitionBy(self.key).orderBy(F.unix_date("date"))
        return ordered.rangeBetween(Window.unboundedPreceding, -days)

    def within(self, days: int) -> TrailingPast:
        return TrailingPast(self.key, days, self.prefix)


def value(feature: Feature, past: Past) -> Column:
    """The feature of the window, of the type that its table declares."""
    return feature.op.value(feature, past).cast(feature.type)


def ratios(declared: Declared) -> list[Column]:
    """What the declared ratios are, of rows that have the other features."""
    return [F.try_divide(r.ratio, r.to).cast("double").alias(r.column) for r in declared if isinstance(r, Ratio)]


def every_key(tiles: DataFrame, entity: str, as_of: datetime.date) -> DataFrame:
    """What to ask for to have every key of the tiles as of one day."""
    return tiles.select(f"{entity}_id").distinct().withColumn("date", F.lit(as_of))


def trailing_features(tiles: DataFrame, spine: DataFrame, entity: str, declared: Declared) -> DataFrame:
    """The rows of feature_table(entity, declared): every (key, date) of a tile, and every one of `spine`.

    A row sees the tiles of the whole days before its date that `tiles` holds, so a caller that wants rows from a date
    on gives the tiles of longest_window(declared) days before it, too. One shuffle, by key.

    Args:
        tiles: day tiles.
        spine: distinct {entity}_id and date; those that a tile has are not made twice.
    """
    key = f"{entity}_id"
    rows = tiles.drop("month").withColumn("is_tile", F.lit(True))
    rows = rows.unionByName(spine.select(key, "date"), allowMissingColumns=True)
    values = [
        value(feature, TrailingPast(key, max(window), feature.prefix)).alias(name)
        for name, (feature, window) in windows_of(declared).items()
    ]
    own_day = Window.partitionBy(key).orderBy(F.unix_date("date")).rangeBetween(0, 0)
    has_tile = F.coalesce(F.max("is_tile").over(own_day), F.lit(False)).alias("has_tile")
    found = rows.select("*", has_tile, *values).where(F.col("is_tile").isNotNull() | ~F.col("has_tile"))
    return found.select(key, "date", month_of("date").alias("month"), *windows_of(declared), *ratios(declared))
