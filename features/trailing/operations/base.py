"""The parts that a day's tile holds, the window that they are added up over, and what an operation is made of.

An operation says which parts of a tile it needs (`parts`) and what the parts of a window amount to (`value`). Everything
else, names, tiles, windows, comments and the leakage guard, follows from these two.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.source.values import as_number

if TYPE_CHECKING:
    from features.trailing.feature import Feature

CONTEXT = "context."  # what a column of the events' context is declared under, and its prefix among their other columns

# What a feature can be about: events as such, sessions, or a number, a label or a list of labels that each event has.
Kind = Literal["events", "sessions", "number", "label", "list"]


def as_name(value: object) -> str:
    """A value as a part of a column's name."""
    return re.sub(r"\W+", "_", f"{value:g}" if isinstance(value, float) else str(value)).strip("_").lower()


def column_name(of: str) -> str:
    """The name that a column of the events goes by in tiles and features: without `context.`."""
    return of.removeprefix(CONTEXT)


def event_column(of: str) -> Column:
    """A column of the events, as it is declared."""
    return F.col(f"`{of}`")


def event_number(of: str) -> Column:
    """The same as a number; a context holds text, of which NaN and what is no finite number is none."""
    column = event_column(of)
    return as_number(column) if of.startswith(CONTEXT) else column.cast("double")


@dataclass(frozen=True)
class Part:
    """One column of a tile: an aggregate of the key's events of one day.

    `of_events` gets the condition that the events must fulfil, and returns the aggregate of those that do. A part without
    it is made by tiles.py, which counts each label: a map of label to events.
    """

    name: str
    type: str
    comment: str
    of: str  # column of the events
    of_events: Callable[[Column], Column] | None = None


class Past(ABC):
    """The tiles of one window of whole days before a row's own day, as an operation sees them."""

    def __init__(self, days: int, prefix: str) -> None:
        self.days, self.prefix = days, prefix

    @property
    @abstractmethod
    def tile_date(self) -> Column:
        """Day of a tile; to be used inside of an aggregate. The row's own day is F.col("date"), outside of one."""

    @abstractmethod
    def column(self, part: Part) -> Column:
        """A part of the window's tiles, to be aggregated."""

    @abstractmethod
    def over(self, aggregate: Column) -> Column:
        """The aggregate over the window's tiles."""

    @abstractmethod
    def within(self, days: int) -> Past:
        """The same past, seen through another window."""

    def sum(self, part: Part) -> Column:
        """0 without tiles."""
        return F.coalesce(self.over(F.sum(self.column(part))), F.lit(0))

    def list(self, part: Part) -> Column:
        """Array of the tiles' parts, in no order; empty without tiles."""
        return self.over(F.collect_list(self.column(part)))


class Operation(ABC):
    """One way to make a number, a label, a list or a map of the events of a window."""

    accepts: ClassVar[frozenset[Kind]]  # kinds of columns that it can be applied to
    type: ClassVar[str]  # of the feature, in Spark's short form
    empty: ClassVar[str]  # what the feature holds where the window has no event: the end of its comment
    nullable: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset()  # further keys that a declaration must have: k, half_life, smoothing, prior
    tolerance: ClassVar[float] = 1e-6  # relative, of the feature made twice: floats are summed in another order
    logarithmic: ClassVar[bool] = False  # spread over orders of magnitude: the model reads z-scores of its logarithm
    windows: ClassVar[int] = 1  # days that one feature takes; each makes its own feature where it is 1

    @abstractmethod
    def parts(self, feature: Feature) -> tuple[Part, ...]: ...

    @abstractmethod
    def value(self, feature: Feature, past: Past) -> Column: ...

    @abstractmethod
    def text(self, feature: Feature) -> str:
        """What the feature is, without its window: the start of its comment."""

    def name(self, feature: Feature) -> str:
        """The middle of the feature's name, between what it is about and its window."""
        return feature.operation


EVENTS = Part("events", "bigint", "events", "events", F.count_if)


def active(past: Past) -> Column:
    """True for the tiles of days with an event."""
    return past.column(EVENTS) > 0
