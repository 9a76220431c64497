"""Rows of cleaned tables, from what a test cares about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from features.tables import EVENTS, ITEMS


@dataclass(frozen=True)
class Event:
    user_id: str
    item_id: str
    event_time: dt.datetime
    event_type: str = "view"
    value: float | None = None
    tie_order: int = 0
    event_id: str | None = None
    session_id: str | None = None
    context: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def date(self) -> dt.date:
        return self.event_time.date()


def at(day: int, hour: float = 0.0) -> dt.datetime:
    """An instant of January 2020 and after, UTC; day 1 is 2020-01-01."""
    return dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day - 1, hours=hour)


def random_events(seed: int, users: int, items: int, events: int, days: int) -> list[Event]:
    """Events at whole hours, so that some of a user's tie; tie_order tells them apart."""
    rng, found, ties = np.random.default_rng(seed), [], {}
    for _ in range(events):
        user, time = f"u{rng.integers(users)}", at(1 + int(rng.integers(days)), int(rng.integers(24)))
        tie = ties[user, time] = ties.get((user, time), -1) + 1
        value = None if rng.random() < 0.3 else float(rng.integers(1, 11)) / 2
        found.append(Event(user, f"i{rng.integers(items)}", time, ("view", "buy")[rng.integers(2)], value, tie))
    return found


def event_rows(events: Sequence[Event]) -> list[dict[str, Any]]:
    return [
        {
            "event_id": e.event_id or f"e{n}",
            "user_id": e.user_id,
            "item_id": e.item_id,
            "event_type": e.event_type,
            "value": e.value,
            "event_time": e.event_time,
            "tie_order": e.tie_order,
            "session_id": e.session_id,
            "context": e.context,
            "date": e.date,
            "month": f"{e.date:%Y-%m}",
        }
        for n, e in enumerate(events)
    ]


def events_frame(spark: SparkSession, events: Sequence[Event]) -> DataFrame:
    rows = event_rows(events)
    return spark.createDataFrame([tuple(r[c.name] for c in EVENTS.columns) for r in rows], EVENTS.schema)


_ITEM: dict[str, Any] = {
    "title": None,
    "categories": [],
    "categories_imputed": False,
    "tags": [],
    "price": None,
    "price_imputed": False,
    "year": None,
    "year_imputed": False,
    "text": None,
    "media": None,
    "attributes": {},
}


def item_rows(items: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Items by id, each with what differs from an item of which nothing is known."""
    return [{"item_id": item_id, **_ITEM, **known} for item_id, known in items.items()]


def items_frame(spark: SparkSession, items: dict[str, dict[str, Any]]) -> DataFrame:
    rows = item_rows(items)
    return spark.createDataFrame([tuple(r[c.name] for c in ITEMS.columns) for r in rows], ITEMS.schema)
