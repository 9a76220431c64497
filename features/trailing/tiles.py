"""Tiles: the aggregates of one key on one day, small enough to keep and enough to make every window from."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.schema import month_of
from features.trailing.config import FeaturesConfig
from features.trailing.event_columns import CATEGORIES, columns_needed, is_measured, with_event_columns, with_key
from features.trailing.feature import Declared
from features.trailing.operations import event_column
from features.trailing.tables import day_table, tile_parts

_COLUMN, _LABEL = "label_column", "label"  # of one row per event and label; both null on one row of each event


def day_tiles(events: DataFrame, items: DataFrame, entity: str, config: FeaturesConfig) -> DataFrame:
    """The rows of day_table(entity, its declarations) for the days of `events`.

    Aggregates are made in two steps where labels are counted, by label and then by day, so that no task ever holds all
    labels of a popular key's events. Of `last_k` it does hold each event of the key's day before it keeps the last.

    Args:
        events: cleaned events.
        items: the catalogue; read only where features are about it, or of its categories.
        entity: user, item or category.
    """
    declared = config.of(entity)
    key = f"{entity}_id"
    rows = with_event_columns(with_key(events, items, entity), items, columns_needed(declared), config)
    tiles = tiles_of(rows, (key, "date"), declared).withColumn("month", month_of("date"))
    return tiles.select(*[c.name for c in day_table(entity, declared).columns])


def tiles_of(rows: DataFrame, keys: tuple[str, ...], declared: Declared) -> DataFrame:
    """The parts of tiles for each group of events with equal `keys`.

    Args:
        rows: what with_event_columns returns.
    """
    parts = tile_parts(declared)
    labels = {name: (f, part.of) for name, (f, part) in parts.items() if part.of_events is None}
    whole = F.col(_LABEL).isNull() if labels else F.lit(True)  # of the rows below, one of each event
    sums = {name: part.of_events(is_measured(f) & whole) for name, (f, part) in parts.items() if part.of_events is not None}
    if not labels:
        return rows.groupBy(*keys).agg(F.lit(None), *[c.alias(name) for name, c in sums.items()])
    counts = {n: F.count_if(is_measured(f) & (F.col(_COLUMN) == label)) for n, (f, label) in labels.items()}
    by_label = _by_label(rows, {label for _, label in labels.values()}).groupBy(*keys, _COLUMN, _LABEL)
    found = by_label.agg(*[c.alias(name) for name, c in (sums | counts).items()])
    wholes = {name: F.first(F.when(F.col(_LABEL).isNull(), F.col(name)), ignorenulls=True) for name in sums}
    maps = {name: _as_map(name, label) for name, (_, label) in labels.items()}
    return found.groupBy(*keys).agg(*[c.alias(name) for name, c in (wholes | maps).items()])


def _by_label(rows: DataFrame, columns: set[str]) -> DataFrame:
    """One row per event, and one more for each label that it has in one of the columns."""

    def pair(column: str, label: Column) -> Column:
        return F.struct(F.lit(column).alias(_COLUMN), label.alias(_LABEL))

    none = F.array(pair("", F.lit(None).cast("string")))
    single = [F.array(pair(c, event_column(c))) for c in sorted(columns - {CATEGORIES})]
    several = [F.transform(CATEGORIES, lambda label: pair(CATEGORIES, label))] if CATEGORIES in columns else []
    pairs = F.filter(F.concat(*single, *[F.coalesce(s, F.array()) for s in several]), lambda p: p[_LABEL].isNotNull())
    return rows.select("*", F.inline(F.concat(none, pairs)))


def _as_map(counts: str, label: str) -> Column:
    """Map of the labels that have a count, in order of their names."""
    counted = (F.col(_COLUMN) == label) & (F.col(counts) > 0)
    return F.map_from_entries(F.sort_array(F.collect_list(F.when(counted, F.struct(_LABEL, counts)))))
