"""The columns that a scenario can declare rules for, by table and kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Table = Literal["events", "items", "users"]
Kind = Literal["text", "number", "list"]


@dataclass(frozen=True)
class Cleaned:
    """Columns of one table by kind.

    `map` holds the further source columns as text, which go by its name: context.device. Without those of `always` a row is
    refused anyhow.
    """

    texts: frozenset[str]
    numbers: frozenset[str]
    lists: frozenset[str]
    map: str
    always: frozenset[str]

    def kind(self, column: str) -> Kind | None:
        """None: there is no such column."""
        if column in self.texts or column.removeprefix(f"{self.map}.") not in ("", column):
            return "text"
        if column in self.numbers:
            return "number"
        return "list" if column in self.lists else None


CLEANED: dict[Table, Cleaned] = {
    "events": Cleaned(
        texts=frozenset({"event_id", "user_id", "item_id", "event_type", "session_id"}),
        numbers=frozenset({"value"}),
        lists=frozenset(),
        map="context",
        always=frozenset({"user_id", "item_id", "event_type"}),
    ),
    "items": Cleaned(
        texts=frozenset({"item_id", "title", "text"}),
        numbers=frozenset({"price", "year"}),
        lists=frozenset({"categories", "tags"}),
        map="attributes",
        always=frozenset({"item_id"}),
    ),
    "users": Cleaned(
        texts=frozenset({"user_id", "segment"}),
        numbers=frozenset({"age"}),
        lists=frozenset(),
        map="attributes",
        always=frozenset({"user_id"}),
    ),
}


def table_of(column: str) -> Table:
    """The table of a number or a list, whose names are in one table only; events where it is none of them."""
    return next((name for name, cleaned in CLEANED.items() if column in cleaned.numbers | cleaned.lists), "events")
