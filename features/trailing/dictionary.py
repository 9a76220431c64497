"""What is known of each feature from its declaration alone: the entries of the data dictionary."""

from __future__ import annotations

from collections import abc
from dataclasses import dataclass

from features.schema import NUMBERS
from features.source.config import Mapping, SourceConfig
from features.trailing.event_columns import ITEM_COLUMNS
from features.trailing.feature import Declared, Feature, Ratio, windows_of
from features.trailing.operations import column_name
from features.trailing.tables import NO_DIVISOR, formula

Marks = abc.Mapping[str, str]  # of CleanConfig.marks
_MADE_OF = {
    "hour": ("event_time",),
    "weekday": ("event_time",),
    "sessions": ("event_time", "session_id"),
    "events": ("event_id",),
}


@dataclass(frozen=True)
class Entry:
    """One feature column. `lineage` holds its stages from the raw files on, each a list of columns."""

    name: str
    type: str
    description: str  # empty: none was declared
    formula: str
    unit: str  # empty: none was declared
    empty: str  # what it holds where there is nothing to compute it from
    lineage: tuple[tuple[str, ...], ...]

    @property
    def is_number(self) -> bool:
        """Only what is one number can be shown to the model."""
        return self.type in NUMBERS


def entries(entity: str, declared: Declared, source: SourceConfig, marks: Marks) -> tuple[Entry, ...]:
    """One entry for each column of {entity}_features, in its order.

    Args:
        marks: what cleaning adds to the context, and the column of events that each is about: CleanConfig.marks.
    """
    made = {name: _entry(entity, name, f, window, source, marks) for name, (f, window) in windows_of(declared).items()}
    for ratio in declared:
        if isinstance(ratio, Ratio):
            made[ratio.column] = _ratio(entity, ratio, made)
    return tuple(made.values())


def _entry(entity: str, name: str, feature: Feature, window: tuple[int, ...], source: SourceConfig, marks: Marks) -> Entry:
    read = [cleaned for column in feature.columns_read for cleaned in _cleaned(column)]
    parts = dict.fromkeys(f"{entity}_days.{feature.prefix}{part.name}" for part in feature.op.parts(feature))
    raw = dict.fromkeys(column for table, field in read for column in _raw(table, field, source, marks))
    cleaned = dict.fromkeys(_qualified(table, field) for table, field in read)
    lineage = (tuple(raw), tuple(cleaned), tuple(parts), (f"{entity}_features.{name}",))
    return Entry(
        name,
        feature.type,
        feature.description or "",
        formula(feature, window),
        feature.unit or "",
        feature.op.empty,
        tuple(stage for stage in lineage if stage),
    )


def _ratio(entity: str, ratio: Ratio, made: dict[str, Entry]) -> Entry:
    two = [made[ratio.ratio].lineage, made[ratio.to].lineage]
    stages = [tuple(dict.fromkeys(c for lineage in two for c in lineage[i])) for i in range(min(map(len, two)))]
    lineage = (*stages, (f"{entity}_features.{ratio.column}",))
    return Entry(ratio.column, "double", ratio.description or "", f"{ratio.ratio} / {ratio.to}", "", NO_DIVISOR, lineage)


def _cleaned(column: str) -> list[tuple[str, str]]:
    """Tables and columns of the cleaned tables that a declaration's column is read from."""
    if column in ITEM_COLUMNS:
        return [("items", ITEM_COLUMNS[column])]
    return [("events", made_of) for made_of in _MADE_OF.get(column, (column,))]


def _qualified(table: str, column: str) -> str:
    name = column_name(column)
    return f"{table}.{column}" if name == column else f"{table}.context[{name}]"


def _raw(table: str, column: str, source: SourceConfig, marks: Marks) -> list[str]:
    """The columns of the raw files, as file.column; none where the value is not read from a file."""
    files = source.items if table == "items" else source.events
    if files is None:
        return []
    name = column_name(column)
    if name != column and name in marks:
        return _raw(table, marks[name], source, {})
    if name != column:
        return [f"{table} file.{name}"]
    mapping: Mapping | None = files.columns.get(column)
    named = () if mapping is None else (mapping.from_,) if isinstance(mapping.from_, str) else mapping.from_
    return [f"{table} file.{name}" for name in named]
