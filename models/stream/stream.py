"""The rows of one lane, exactly as the plan says: petastorm reads, this checks, permutes, cuts and pads.

petastorm drops columns it cannot read without a word: here that is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from models.errors import StreamError
from models.inputs import HISTORY, TARGETS, Input, Sizes
from models.stream.columns import matrix
from models.stream.file_plan import EpochPlan, Part, generator
from models.stream.row_groups import open_row_groups

Batch = dict[str, np.ndarray]


class LaneReader(AbstractContextManager["LaneReader"]):
    """Batches of one length bucket of one lane, from one position of the plan on.

    Each batch holds, for every input, (rows, entries) numbers, as many as the input has for the bucket's length.
    The last batch, and all after it, are filled up with rows of zeros, whose weights are zero too. Rows are copied once, from
    their row group to their batch.
    """

    def __init__(
        self,
        plan: EpochPlan,
        length: int,
        lane: int,
        sizes: Sizes,
        *,
        batches: int = 0,
        inputs: Sequence[Input] = (*HISTORY, *TARGETS),
    ):
        """Opens the files of the lane's parts, if any are left.

        Args:
            sizes: of the inputs.
            batches: how many batches of this bucket are already taken.
        """
        self._plan, self._length, self._inputs, self._sizes = plan, length, inputs, sizes
        self._batch, self._entries = plan.batch[length], {i.name: i.entries(length, sizes) for i in inputs}
        self._parts = plan.parts_from(length, lane, batches)
        self._reader = self._open() if self._parts else None
        self._groups = self._row_groups()
        self._rows: Batch = {}  # the row group that batches are taken from
        self._left = np.zeros(0, np.int64)  # which of its rows are still to be taken, in their order

    def next_batch(self) -> Batch:
        """The next batch of the plan.

        Raises:
            StreamError: rows, types or lengths other than the log and the contract say.
        """
        batch: Batch = {i.name: np.empty((self._batch, self._entries[i.name]), i.dtype) for i in self._inputs}
        filled = 0
        while filled < self._batch and self._has_rows():
            taken, self._left = np.split(self._left, [self._batch - filled])
            for name, rows in self._rows.items():  # "clip" writes in place; "raise" would write to a buffer first
                rows.take(taken, axis=0, out=batch[name][filled : filled + len(taken)], mode="clip")
            filled += len(taken)
        for rows in batch.values():
            rows[filled:] = 0
        return batch

    def finish(self) -> None:
        """Checks that the lane was read to its end, and closes it.

        Raises:
            StreamError: rows are left over, or files hold more rows than the log says.
        """
        left = len(self._left) + sum(len(order) for _, order in self._groups)
        self.close()
        if left:
            raise StreamError(f"length bucket {self._length}: {left} rows were delivered after the last batch of the plan.")

    def close(self) -> None:
        if self._reader is not None:
            self._reader.stop()
            self._reader.join()
            self._reader = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _open(self) -> Any:
        return open_row_groups([part.file.uri for part in self._parts], [i.name for i in self._inputs])

    def _has_rows(self) -> bool:
        """Goes on to the next row group where one is used up; False: there is none."""
        while not len(self._left):
            following = next(self._groups, None)
            if following is None:
                return False
            self._rows, self._left = following
        return True

    def _row_groups(self) -> Iterator[tuple[Batch, np.ndarray]]:
        """Each row group of the lane's files, and those of its rows that are the lane's, permuted."""
        for part in self._parts:
            first = 0
            for chunk, rows in enumerate(self._file_chunks(part)):
                count = len(rows["weights"])
                start, stop = (min(max(edge - first, 0), count) for edge in (part.start, part.stop))
                order = generator(self._plan.seed, self._plan.epoch, self._length, part.order, chunk).permutation(count)
                yield rows, order[start:stop]
                first += count
        self._check_end()

    def _file_chunks(self, part: Part) -> Iterator[Batch]:
        """The row groups of one file, up to the one in which the part ends."""
        delivered = 0
        while delivered < part.stop:
            rows = self._next_chunk()
            if rows is None:
                raise StreamError(f"{part.file.uri}: the log says {part.file.rows} rows, {delivered} were delivered.")
            delivered += len(rows["weights"])
            if delivered > part.file.rows:
                raise StreamError(f"{part.file.uri}: the log says {part.file.rows} rows, at least {delivered} were delivered.")
            yield rows

    def _check_end(self) -> None:
        """The lane that reads a bucket's last file to its end sees to it that nothing follows."""
        if self._parts and self._parts[-1].stop == self._parts[-1].file.rows:
            rows = self._next_chunk()
            if rows is not None:
                last = self._parts[-1].file
                raise StreamError(f"{last.uri}: the log says {last.rows} rows, {len(rows['weights'])} more were delivered.")

    def _next_chunk(self) -> Batch | None:
        try:
            table: pa.Table = next(self._reader)  # type: ignore[arg-type]
        except StopIteration:
            return None
        except (OSError, RuntimeError, ValueError, pa.ArrowException) as error:
            raise StreamError(f"{self._somewhere}: cannot be read: {error}") from error
        _check_schema(self._somewhere, table.schema, self._inputs)
        return {i.name: self._checked(i, table[i.name]) for i in self._inputs}

    def _checked(self, column: Input, found: pa.ChunkedArray) -> np.ndarray:
        """(rows, entries); refused where entries are not the bucket's, or numbers are none that the model has a place for."""
        entries = self._entries[column.name]
        try:
            rows = matrix(found.chunk(0) if found.num_chunks == 1 else found.combine_chunks())
        except ValueError as error:
            raise StreamError(f"{self._somewhere}: {column.name}: {error}") from error
        if rows.shape[1] != entries:
            fault: str | None = (
                f"{column.name} must have {entries} entries, as the length bucket is {self._length}. Received {rows.shape[1]}."
            )
        else:
            fault = column.fault(rows, self._sizes)
        if fault:
            raise StreamError(f"{self._somewhere}: {fault}")
        return rows

    @property
    def _somewhere(self) -> str:
        return f"{self._parts[0].file.uri} or a file beside it"


def _check_schema(where: str, schema: pa.Schema, inputs: Sequence[Input]) -> None:
    wrong = []
    for i in inputs:
        if i.name not in schema.names:
            wrong.append(f"{i.name} is missing, or of a type that petastorm drops (struct, map, list of lists, large list)")
            continue
        found, expected = schema.field(i.name).type, pa.from_numpy_dtype(i.dtype)
        if not pa.types.is_list(found) or found.value_type != expected:
            kind = f"array of {found.value_type}" if pa.types.is_list(found) else str(found)
            wrong.append(f"{i.name} must be an array of {expected}, found {kind}")
    if wrong:
        raise StreamError(f"{where}: {'; '.join(wrong)}. Build the table again with this version.")
