"""The raw frame, and its source's own columns.

A raw frame (see jobs/runtime/sources.py) has the columns file, block, row, file_day, line, broken and `fields`, a struct of
the source's own columns.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    StructType,
)

from features.source.config import EventSource, FileSource, ItemSource, TagSource, UserSource

FILE = "_file"  # as a column of the source: the name of the row's file, below the folder that all its files have in common
SOURCE_ORDER = ("file", "block", "row")  # source order: by it ties and duplicates are decided


def mapped_columns(source: FileSource) -> tuple[str, ...]:
    """The source's own columns that its configuration names, each once; FILE is none of them."""
    names: list[str] = [*source.where]
    if isinstance(source, EventSource | ItemSource | TagSource | UserSource):
        for mapping in source.columns.values():
            names += [mapping.from_] if isinstance(mapping.from_, str) else mapping.from_
    if isinstance(source, ItemSource | UserSource):
        names += source.attributes
    if isinstance(source, EventSource):
        names += source.context
    return tuple(name for name in dict.fromkeys(names) if name != FILE)


def quoted(name: str) -> str:
    """A column's name in an expression, whatever characters it has."""
    return f"`{name.replace('`', '``')}`"


def field(name: str) -> Column:
    """A column of the source, under whatever name it has there."""
    return F.col(f"fields.{quoted(name)}")


def field_types(raw: DataFrame) -> dict[str, DataType]:
    """Type of each column of the source."""
    fields = raw.schema["fields"].dataType
    assert isinstance(fields, StructType)  # noqa: S101  # by the definition of a raw frame
    return {f.name: f.dataType for f in fields.fields}


def raw_text() -> Column:
    """The row as it goes to quarantine: the line where it was kept, else JSON of the source's columns."""
    return F.coalesce(F.col("line"), F.to_json("fields"))
