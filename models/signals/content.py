"""What the tables tell about all items: their content, what comes after them, and their values, each from one version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import fsspec  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import StreamError
from models.inputs import CONTENT, PADDING, Input, ItemContent, Sizes
from models.signals.item_values import ItemValues
from models.signals.likeness import ranked_rows
from models.signals.transitions import Transitions
from models.stream.delta_log import TableFile, table_files

_CONTENT_COLUMNS = ("index", *[i.name for i in CONTENT], "train_events")
_TRANSITION_COLUMNS = ("reach", "index", "rank", "next_index", "share")
_VALUE_COLUMNS = ("index", "bias", "neighbours")


def read_item_content(path: str, version: int, sizes: Sizes) -> ItemContent:
    """The table item_content at one version; row i of each array belongs to item index i.

    Raises:
        StreamError: the table cannot be read exactly, or it is of another vocabulary than `sizes`.
    """
    tables = _tables(path, table_files(path, version), _CONTENT_COLUMNS)
    if not tables:
        raise StreamError(f"{path}: the table has no rows.")
    table = pa.concat_tables(tables).sort_by("index")
    index = table["index"].to_numpy()
    if not np.array_equal(index, np.arange(sizes.items)):
        raise StreamError(
            f"{path}: version {version} must have one row for each index from 0 to {sizes.items - 1}, as the model has. "
            f"Received {len(index)} rows up to index {index.max(initial=-1)}: it belongs to another vocabulary."
        )
    content = {i.name: _matrix(path, table, i, sizes) for i in CONTENT}
    return ItemContent(**content, train_events=table["train_events"].to_numpy().astype(np.int64))


def read_transitions(path: str, version: int, items: int) -> dict[int, Transitions]:
    """Those of `items` items by reach, the shortest first, with weight 0; never empty.

    Raises:
        StreamError: the table cannot be read exactly, or knows more items.
    """
    tables = _tables(path, table_files(path, version), _TRANSITION_COLUMNS)
    if not tables:
        return {1: Transitions.none(items)}
    reach, index, rank, following, shares = (pa.concat_tables(tables)[name].to_numpy() for name in _TRANSITION_COLUMNS)
    if max(index.max(initial=PADDING), following.max(initial=PADDING)) >= items:
        raise StreamError(f"{path}: version {version} knows items from {items} on: it belongs to another vocabulary.")
    found = {}
    for one in np.unique(reach):
        own = reach == one
        found[int(one)] = Transitions(*ranked_rows(index[own], rank[own], following[own], shares[own], items))
    return found or {1: Transitions.none(items)}


def read_item_values(path: str, version: int, items: int) -> ItemValues:
    """Those of `items` items, which leave the rating head alone; of none where the table has no rows.

    Raises:
        StreamError: the table cannot be read exactly, or knows more items.
    """
    tables = _tables(path, table_files(path, version), _VALUE_COLUMNS)
    table = pa.concat_tables(tables).combine_chunks() if tables else pa.table({})
    if not len(table):
        return ItemValues.none(items)
    index, lists = table["index"].to_numpy(), table["neighbours"].combine_chunks()
    counts, pairs = lists.value_lengths().to_numpy(), lists.flatten()
    neighbours, similarities = (pairs.field(name).to_numpy() for name in ("index", "similarity"))
    if max(index.max(), neighbours.max(initial=PADDING)) >= items:
        raise StreamError(f"{path}: version {version} knows items from {items} on: it belongs to another vocabulary.")
    biases = np.zeros(items, np.float32)
    biases[index] = table["bias"].to_numpy()
    ranks = 1 + np.arange(len(neighbours)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ItemValues(biases, *ranked_rows(np.repeat(index, counts), ranks, neighbours, similarities, items))


def _tables(path: str, files: Iterable[TableFile], columns: Sequence[str]) -> list[pa.Table]:
    tables = []
    for file in files:
        filesystem, name = fsspec.core.url_to_fs(file.uri)
        with filesystem.open(name) as opened:
            parquet = pq.ParquetFile(opened)
            missing = [c for c in columns if c not in parquet.schema_arrow.names]
            if missing:
                raise StreamError(f"{path}: {', '.join(missing)} is missing. Build the table again with this version.")
            tables.append(parquet.read(columns=list(columns)))
    return tables


def _matrix(path: str, table: pa.Table, wanted: Input, sizes: Sizes) -> np.ndarray:
    """(items, entries) from a column of lists."""
    column, entries = table[wanted.name].combine_chunks(), wanted.entries(1, sizes)
    flat = column.flatten().to_numpy(zero_copy_only=False)
    if len(flat) != len(table) * entries or any(count != entries for count in column.value_lengths().to_pylist()):
        raise StreamError(f"{path}: every {wanted.name} must have {entries} entries, as the model has. Build the table again.")
    fault = wanted.fault(flat, sizes)
    if fault:
        raise StreamError(f"{path}: {fault}")
    return flat.astype(wanted.dtype).reshape(len(table), entries)
