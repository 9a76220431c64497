"""Trailing features: sums of tiles over the whole days before a row's own day."""

from __future__ import annotations

import datetime

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from features.declared_tables import feature_columns, measure
from features.features_config import Feature
from features.schema import month_of


def longest_window(features: tuple[Feature, ...]) -> int:
    """Days that the longest window reaches back; 0 without features."""
    return max((days for f in features for days in f.days), default=0)


def single_windows(features: tuple[Feature, ...]) -> dict[str, Feature]:
    """Each column of feature_table to its declaration, limited to the one window that the column is about."""
    single = [f.model_copy(update={"days": (days,)}) for f in features for days in f.days]
    return {feature_columns((f,))[0].name: f for f in single}


def _past(key: str, days: int) -> WindowSpec:
    """The key's tiles of the `days` whole days before the row's own day. The one place where a window is built."""
    return Window.partitionBy(key).orderBy(F.unix_date("date")).rangeBetween(-days, -1)


def _total(column: str, past: WindowSpec) -> Column:
    return F.coalesce(F.sum(column).over(past), F.lit(0))


def _merged(maps: Column) -> Column:
    """Sum of an array of maps, category by category."""

    def add(total: Column, tile: Column) -> Column:
        return F.map_zip_with(total, tile, lambda _, a, b: F.coalesce(a, F.lit(0)) + F.coalesce(b, F.lit(0)))

    return F.aggregate(maps, F.create_map().cast("map<string,bigint>"), add)


def _shares(maps: Column) -> Column:
    """Share of each category among all counts, in order of the names; an empty map where there are none."""
    total = F.aggregate(F.flatten(F.transform(maps, F.map_values)), F.lit(0).cast("bigint"), lambda a, n: a + n)
    shares = F.transform_values(_merged(maps), lambda _, n: n / total)
    return F.map_from_entries(F.array_sort(F.map_entries(shares)))


def _value(feature: Feature, key: str) -> Column:
    """A feature of one window, of the type that feature_table declares."""
    (days,) = feature.days
    of, past = measure(feature), _past(key, days)
    active = F.col(f"{of}events") > 0
    match feature.operation:
        case "count":
            return _total(f"{of}events", past)
        case "sum":
            return _total(f"{of}value_sum", past)
        case "mean":
            return F.try_divide(F.sum(f"{of}value_sum").over(past), F.sum(f"{of}value_count").over(past))
        case "recency":
            return F.date_diff("date", F.max(F.when(active, F.col("date"))).over(past))
        case "frequency":
            return F.count_if(active).over(past) / days
        case "share":
            return _shares(F.collect_list(f"{of}category_events").over(past))
    raise ValueError(f"no trailing feature has the operation {feature.operation!r}.")


def trailing_features(
    tiles: DataFrame, keys: DataFrame, entity: str, features: tuple[Feature, ...], as_of: datetime.date
) -> DataFrame:
    """The rows of feature_table(entity, features): every (key, date) of a tile, and every one of `keys` as of `as_of`.

    A row sees the tiles of the whole days before its date that `tiles` holds, so a caller that wants rows from a date
    on gives the tiles of longest_window(features) days before it, too. One shuffle, by key.

    Args:
        tiles: day tiles; those of `as_of` and later are left out.
        keys: distinct keys, in a column {entity}_id, to be scored.
        as_of: the features of `keys` are as of the start of this day.
    """
    key = f"{entity}_id"
    asked = keys.select(key, F.lit(as_of).alias("date"))
    rows = tiles.drop("month").where(F.col("date") < F.lit(as_of)).unionByName(asked, allowMissingColumns=True)
    values = [_value(one, key).alias(name) for name, one in single_windows(features).items()]
    return rows.select(key, "date", month_of("date").alias("month"), *values)
