"""Trailing features in plain Python: what a declaration means, one event at a time."""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from features.trailing.feature import Feature, Limits
from tests.features.rows import Event

Items = dict[str, dict[str, Any]]


def expected(  # noqa: PLR0911, PLR0912  # one case an operation
    feature: Feature, window: tuple[int, ...], history: Sequence[Event], date: dt.date, items: Items, zone: str = "UTC"
) -> Any:
    """The feature of a key as of the start of `date`.

    Args:
        history: every event of the key; of a user, for sessions.
    """
    inside = [e for e in history if 1 <= (date - e.date).days <= max(window) and _fulfils(e, feature, items, zone)]
    inside.sort(key=lambda e: (e.event_time, e.tie_order, e.event_id))
    labels = [label for e in inside for label in _labels(e, feature.of, items, zone)]
    numbers = [n for e in inside if feature.kind == "number" and (n := _number(e, feature.of, items)) is not None]
    placed = numbers if feature.kind == "number" else labels
    days = Counter(e.date for e in inside)
    shares = [n / len(labels) for n in Counter(labels).values()]
    sessions = _sessions(history)
    match feature.operation, feature.of:
        case "count", "sessions":
            return sum(begins for e, (begins, _) in sessions.items() if e in inside)
        case "mean", "sessions":
            began = sum(begins for e, (begins, _) in sessions.items() if e in inside)
            return sum(s for e, (_, s) in sessions.items() if e in inside) / began if began else None
        case "count", _:
            return len(inside)
        case "recency", _:
            return min(((date - day).days for day in days), default=None)
        case "frequency", _:
            return len(days) / max(window)
        case "per_active_day", _:
            return len(inside) / len(days) if days else None
        case "trend", _:
            short, long = window
            recent = sum((date - e.date).days <= short for e in inside)
            return (recent / short) / (len(inside) / long) if inside else None
        case "decayed_count", _:
            return sum(0.5 ** ((date - e.date).days / feature.half_life) for e in inside)
        case "decayed_sum", _:
            weights = [(0.5 ** ((date - e.date).days / feature.half_life), _number(e, feature.of, items)) for e in inside]
            return sum(weight * number for weight, number in weights if number is not None)
        case "sum", _:
            return math.fsum(numbers)
        case "smoothed_mean", _:
            added = feature.smoothing * feature.prior
            return (math.fsum(numbers) + added) / (len(numbers) + feature.smoothing) if numbers else None
        case "mean", _:
            return statistics.fmean(numbers) if numbers else None
        case "min", _:
            return min(numbers, default=None)
        case "max", _:
            return max(numbers, default=None)
        case "std", _:
            return statistics.pstdev(numbers) if numbers else None
        case "share", _:
            return {label: n / len(labels) for label, n in Counter(labels).items()}
        case "interest", _:
            weighed = Counter()
            for e in inside:
                for label in _labels(e, feature.of, items, zone):
                    weighed[label] += 0.5 ** ((date - e.date).days / feature.half_life)
            return {label: n / (weighed.total() + feature.smoothing) for label, n in weighed.items()}
        case "entropy", _:
            return -sum(p * math.log(p) for p in shares) if labels else None
        case (("distinct" | "distinct_sketch"), _):
            return len(set(labels))
        case "first", _:
            return placed[0] if placed else None
        case "last", _:
            return placed[-1] if placed else None
        case "last_k", _:
            return placed[: -feature.k - 1 : -1]
    raise AssertionError(feature)


def _labels(event: Event, of: str, items: Items, zone: str) -> list[str]:
    if of == "category":
        return items.get(event.item_id, {}).get("categories", [])
    local = event.event_time.astimezone(ZoneInfo(zone))
    if of in ("hour", "weekday"):
        return [f"{local:%H}" if of == "hour" else str(local.isoweekday() % 7 + 1)]
    label = event.context.get(of.removeprefix("context.")) if of.startswith("context.") else getattr(event, of, None)
    return [] if label is None else [label]


def _number(event: Event, of: str, items: Items) -> float | None:
    if of.startswith("context."):
        text = event.context.get(of.removeprefix("context."))
        return None if text is None or text == "soon" else float(text)
    return event.value if of == "value" else items.get(event.item_id, {}).get(of)


def _fulfils(event: Event, feature: Feature, items: Items, zone: str) -> bool:
    for column, condition in feature.where.items():
        if isinstance(condition, Limits):
            number = _number(event, column, items)
            low = -math.inf if condition.at_least is None else condition.at_least
            high = math.inf if condition.below is None else condition.below
            if number is None or not low <= number < high:
                return False
        elif not set(_labels(event, column, items, zone)) & {condition, *condition}:
            return False
    return True


def _sessions(history: Sequence[Event]) -> dict[Event, tuple[bool, float]]:
    """Whether each event begins a session (30 minutes away, or another session_id), else the seconds since the last one."""
    found: dict[Event, tuple[bool, float]] = {}
    before: Event | None = None
    for event in sorted(history, key=lambda e: (e.event_time, e.tie_order)):
        away = (event.event_time - before.event_time).total_seconds() if before else 0.0
        begins = before is None or away > 30 * 60 or before.session_id != event.session_id
        found[event] = (begins, 0.0 if begins else away)
        before = event
    return found
