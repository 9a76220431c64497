"""The data dictionary: what each feature is, where it comes from and what it has been like, as one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from pyspark.sql import DataFrame

from features.trailing.dictionary import Entry, entries
from jobs.pages import render as pages
from jobs.runtime.config import Scenario

_WIDTH, _HEIGHT, _MARGIN = 120, 28, 3


@dataclass(frozen=True)
class Described:
    """A feature with what its profile says."""

    entry: Entry
    tensor: str  # the model's input that it becomes a part of; empty: the model does not see it
    reason: str  # why the model does not see it; empty: it does, or it is no number
    months: Sequence[str]
    mean: Sequence[float | None]  # of each month; null: of no value, or of a feature that is no number
    nulls: Sequence[float | None]  # share of each month


def described(config: Scenario, entity: str, statistics: DataFrame, selection: DataFrame) -> list[Described]:
    """Every feature of an entity, in the order of its table. Collects as many rows as there are features and months."""
    table = f"{entity}_features"
    numbers = {
        (row["feature"], row["month"], row["statistic"]): row["number"]
        for row in statistics.where(statistics["table"] == table).where("statistic IN ('mean', 'nulls')").collect()
    }
    months = sorted({month for _, month, _ in numbers})
    reasons = {row["feature"]: row["reason"] for row in selection.where(selection["table"] == table).collect()}
    return [
        _described(entry, entity, reasons, months, numbers)
        for entry in entries(entity, config.features.of(entity), config.source, config.clean.marks)
    ]


def _described(
    entry: Entry,
    entity: str,
    reasons: Mapping[str, str],
    months: Sequence[str],
    numbers: Mapping[tuple[str, str, str], float | None],
) -> Described:
    is_seen = entity == "user" and entry.is_number and not reasons.get(entry.name)
    return Described(
        entry,
        "sequences.user_features" if is_seen else "",
        reasons.get(entry.name, ""),
        months,
        *[[numbers.get((entry.name, month, statistic)) for month in months] for statistic in ("mean", "nulls")],
    )


def render(name: str, tables: Mapping[str, Sequence[Described]]) -> str:
    """The page.

    Args:
        tables: the features by the name of their table.
    """
    return pages.render("dictionary.html.j2", name=name, tables=tables, sparkline=sparkline)


def sparkline(title: str, values: Sequence[float | None]) -> Markup:
    """A line over the months, without axes; it breaks where there is no value. Empty where there is none at all."""
    known = [value for value in values if value is not None]
    if not known:
        return Markup("")
    low, high = min(known), max(known)
    across = (_WIDTH - 2 * _MARGIN) / max(len(values) - 1, 1)

    def point(place: int, value: float) -> str:
        height = 0.5 if high == low else (value - low) / (high - low)
        return f"{_MARGIN + place * across:.1f},{_HEIGHT - _MARGIN - height * (_HEIGHT - 2 * _MARGIN):.1f}"

    lines, line = [], list[str]()
    for place, value in enumerate([*values, None]):
        if value is not None:
            line.append(point(place, value))
        elif line:
            lines.append(line if len(line) > 1 else line * 2)  # a line of no length is a dot
            line = []
    drawn = Markup("").join(Markup('<polyline points="{}"/>').format(" ".join(points)) for points in lines)
    return Markup('<svg class="sparkline" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, title, drawn
    )
