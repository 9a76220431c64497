"""Operations on events as such: how many, how often, how long ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.trailing.operations.base import EVENTS, Operation, Part, Past, active, as_name

if TYPE_CHECKING:
    from features.trailing.feature import Feature

SESSIONS = Part(
    "sessions", "bigint", "sessions that began", "sessions", lambda inside: F.count_if(inside & F.col("session_begins"))
)


class Count(Operation):
    accepts, type, empty, logarithmic = frozenset({"events", "sessions"}), "bigint", "0: none", True

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        return (SESSIONS if feature.of == "sessions" else EVENTS,)

    def value(self, feature: Feature, past: Past) -> Column:
        return past.sum(*self.parts(feature))

    def text(self, feature: Feature) -> str:
        return "sessions that began" if feature.of == "sessions" else "events"


class _OfEvents(Operation):
    accepts = frozenset({"events"})

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        return (EVENTS,)


class Recency(_OfEvents):
    type, empty, nullable = "int", "null: no such day", True

    def value(self, feature: Feature, past: Past) -> Column:
        return F.date_diff("date", past.over(F.max(F.when(active(past), past.tile_date))))

    def text(self, feature: Feature) -> str:
        return "days from the last day with an event to date,"


class Frequency(_OfEvents):
    type, empty = "double", "0: none"

    def value(self, feature: Feature, past: Past) -> Column:
        return past.over(F.count_if(active(past))) / past.days

    def text(self, feature: Feature) -> str:
        return "share, 0 to 1, of days with an event"


class PerActiveDay(_OfEvents):
    type, empty, nullable = "double", "null: no day with an event", True

    def value(self, feature: Feature, past: Past) -> Column:
        return F.try_divide(past.sum(EVENTS), past.over(F.count_if(active(past))))

    def text(self, feature: Feature) -> str:
        return "mean number of events on a day with events"


class Trend(_OfEvents):
    """Short window against long window: what a day of the short one has, as a multiple of a day of the long one."""

    type, empty, nullable, windows = "double", "null: no event in the long window", True, 2

    def value(self, feature: Feature, past: Past) -> Column:
        short, long = feature.days
        return F.try_divide(past.within(short).sum(EVENTS) / short, past.within(long).sum(EVENTS) / long)

    def text(self, feature: Feature) -> str:
        return "events a day in the short window as a multiple of those in the long one,"


class DecayedCount(_OfEvents):
    type, empty, needs, logarithmic = "double", "0: none", frozenset({"half_life"}), True

    def value(self, feature: Feature, past: Past) -> Column:
        return decayed(past, EVENTS, feature)

    def text(self, feature: Feature) -> str:
        return f"events, each counted as 1/2 to the power of its age in days by {feature.half_life},"

    def name(self, feature: Feature) -> str:
        return f"decayed_count_{as_name(feature.half_life)}d"


def decay(day: Column, feature: Feature) -> Column:
    """What an event of `day` counts for: 1/2 to the power of its age in half-lives."""
    return F.pow(F.lit(0.5), F.date_diff(F.col("date"), day) / (feature.half_life or 1))


def decayed(past: Past, part: Part, feature: Feature) -> Column:
    """Sum of a part, each tile weighted by its decay; oldest first, so in one order."""
    tile = F.struct(past.tile_date.alias("day"), past.column(part).alias("part"))
    tiles = F.sort_array(past.over(F.collect_list(F.when(past.column(part).isNotNull(), tile))))  # outside it is null
    return F.aggregate(tiles, F.lit(0.0), lambda total, tile: total + tile["part"] * decay(tile["day"], feature))
