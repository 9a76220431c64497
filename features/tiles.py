"""Tiles: the aggregates of one key on one day, small enough to keep and enough to sum every window from."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.declared_tables import day_table, measure
from features.features_config import Feature
from features.schema import month_of

_CATEGORY = "category"
_ONCE = "counts_once"  # true on one row of each event, however many categories its item has


def is_measured(feature: Feature) -> Column:
    """True for the events that a feature is about."""
    return F.lit(True) if feature.event_type is None else F.col("event_type") == feature.event_type


def _with_categories(events: DataFrame, items: DataFrame) -> DataFrame:
    """One row per event and category of its item; one row, with a null category, where the item has none."""
    joined = events.join(items.select("item_id", "categories"), "item_id", "left")
    exploded = joined.select(*events.columns, F.posexplode_outer("categories").alias("place", _CATEGORY))
    return exploded.withColumn(_ONCE, F.coalesce(F.col("place"), F.lit(0)) == 0)


def _sums(features: tuple[Feature, ...]) -> dict[str, Column]:
    """Column of the tile to the aggregate of one (key, date, category) that is summed up to it."""
    sums: dict[str, Column] = {}
    for f in features:
        once = F.col(_ONCE) & is_measured(f)
        sums[f"{measure(f)}events"] = F.count_if(once)
        if f.operation in ("sum", "mean"):
            sums[f"{measure(f)}value_sum"] = F.sum(F.when(once, F.col("value")))
            sums[f"{measure(f)}value_count"] = F.count_if(once & F.col("value").isNotNull())
    return sums


def _category_counts(features: tuple[Feature, ...]) -> dict[str, Column]:
    """Column of the tile to the events of one (key, date, category)."""
    return {f"{measure(f)}category_events": F.count_if(is_measured(f)) for f in features if f.operation == "share"}


def _as_map(counts: str) -> Column:
    """Map of the categories that have a count, in order of their names."""
    pair = F.when(F.col(_CATEGORY).isNotNull() & (F.col(counts) > 0), F.struct(_CATEGORY, counts))
    return F.map_from_entries(F.array_sort(F.collect_list(pair)))


def day_tiles(events: DataFrame, items: DataFrame, entity: str, features: tuple[Feature, ...]) -> DataFrame:
    """The rows of day_table(entity, features) for the days of `events`.

    Args:
        events: cleaned events.
        items: item_id and categories; read only where a feature asks for shares.
        entity: user or item.
        features: declared features of the entity.
    """
    key = f"{entity}_id"
    sums, counts = _sums(features), _category_counts(features)
    rows = _with_categories(events, items) if counts else events.withColumns({_ONCE: F.lit(True), _CATEGORY: F.lit(None)})
    aggregates = [c.alias(name) for name, c in (sums | counts).items()] or [F.count("*")]
    parts = rows.groupBy(key, "date", _CATEGORY).agg(*aggregates)
    totals = {name: F.coalesce(F.sum(name), F.lit(0)) for name in sums} | {name: _as_map(name) for name in counts}
    whole = [c.alias(name) for name, c in totals.items()] or [F.count("*")]
    tiles = parts.groupBy(key, "date").agg(*whole).withColumn("month", month_of("date"))
    return tiles.select(*[c.name for c in day_table(entity, features).columns])
