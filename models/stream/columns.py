"""Columns of lists, as Arrow carries them between Spark and numpy."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from models.inputs import HISTORY


def histories(batch: pa.RecordBatch) -> dict[str, np.ndarray]:
    """The arrays of models.inputs.HISTORY, each (rows, entries)."""
    return {i.name: matrix(batch.column(i.name)) for i in HISTORY}


def matrix(column: pa.ListArray) -> np.ndarray:
    """A column of lists of one length, as (rows, length).

    Raises:
        ValueError: if lists differ in length or hold nulls.
    """
    rows, offsets = len(column), column.offsets.to_numpy()
    flat = column.values[offsets[0] : offsets[-1]]
    length = len(flat) // rows if rows else 0
    if flat.null_count or column.null_count or np.any(np.diff(offsets) != length):
        raise ValueError(f"a column of arrays must have one length and no nulls. Received {rows} rows of {len(flat)} entries.")
    return flat.to_numpy().reshape(rows, length)


def ragged(column: pa.ListArray) -> list[np.ndarray]:
    """A column of lists as one array per row; a null is an empty list."""
    values, offsets = column.values.to_numpy(), column.offsets.to_numpy()
    lengths = np.where(column.is_valid().to_numpy(zero_copy_only=False), np.diff(offsets), 0)
    return [values[start : start + length] for start, length in zip(offsets[:-1], lengths, strict=True)]


def lists(rows: np.ndarray) -> pa.ListArray:
    """A column of lists from (rows, entries)."""
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(rows).ravel()))
