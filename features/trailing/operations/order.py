"""Operations on what came first and last; ties in time are broken by the user's order, then by event id."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.trailing.operations.base import Operation, Part, Past, event_column

if TYPE_CHECKING:
    from features.trailing.feature import Feature

_PLACED = "struct<event_time:timestamp,tie_order:int,event_id:string,value:{type}>"


def _placed(inside: Column, of: str) -> Column:
    """The column with its place in time, which orders structs; null where the event has none."""
    value = event_column(of)
    return F.when(inside & value.isNotNull(), F.struct("event_time", "tie_order", "event_id", value.alias("value")))


class _Placed(Operation):
    accepts = frozenset({"number", "label"})
    empty, nullable = "null: none has one", True

    def _struct(self, feature: Feature) -> str:
        return _PLACED.format(type="double" if feature.kind == "number" else "string")


class End(_Placed):
    """The first or the last: the least or the greatest by the place in time."""

    type = "same"

    def __init__(self, word: str, extreme: Callable[[Column], Column]) -> None:
        self.word, self.extreme = word, extreme

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        comment = f"{self.word} {feature.column} and its place in time; null: none has one"
        name, of = f"{feature.column}_{self.word}", feature.of
        return (Part(name, self._struct(feature), comment, of, lambda inside: self.extreme(_placed(inside, of))),)

    def value(self, feature: Feature, past: Past) -> Column:
        return past.over(self.extreme(past.column(*self.parts(feature))))["value"]

    def text(self, feature: Feature) -> str:
        return f"{self.word} {feature.column}"


class LastK(_Placed):
    type, empty, nullable, needs = "list", "empty: none has one", False, frozenset({"k"})

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        column, of, k = feature.column, feature.of, feature.k or 1
        comment = f"last {k} {column} and their places in time, latest first; empty: none has one"

        def latest(inside: Column) -> Column:
            return F.slice(F.sort_array(F.collect_list(_placed(inside, of)), asc=False), 1, k)

        return (Part(f"{column}_last_{k}", f"array<{self._struct(feature)}>", comment, of, latest),)

    def value(self, feature: Feature, past: Past) -> Column:
        latest = F.slice(F.sort_array(F.flatten(past.list(*self.parts(feature))), asc=False), 1, feature.k or 1)
        return F.transform(latest, lambda placed: placed["value"])

    def text(self, feature: Feature) -> str:
        return f"last {feature.k} {feature.column}, latest first,"

    def name(self, feature: Feature) -> str:
        return f"last_{feature.k}"
