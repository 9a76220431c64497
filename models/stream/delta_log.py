"""The files of one pinned version of a Delta table, from its log. No Spark.

A directory of Delta is not a table: it also holds files of other versions. And a reader that does not know a feature of the
table reads wrong rows without an error, so every feature that the stream cannot honour is refused here by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import fsspec  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from models.errors import StreamError

# Reader features that change nothing about the rows of a file.
HARMLESS = {"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}
WAYS_OUT = {
    "deletionVectors": "its deleted rows would come back. Set delta.enableDeletionVectors=false, run REORG TABLE ... "
    "APPLY (PURGE), then ALTER TABLE ... DROP FEATURE deletionVectors",
    "columnMapping": "its columns would be read as null. Write the table anew with delta.columnMapping.mode=none",
}


@dataclass(frozen=True)
class TableFile:
    """A Parquet file of a table version.

    `partitions` holds the values of the partition columns, as text. `first_example` is the least example_id in the file,
    empty where the log does not know: names of files are random, so it is this that puts the files of two builds in the same
    order.
    """

    uri: str
    rows: int
    partitions: Mapping[str, str]
    first_example: str = ""


def table_files(path: str, version: int) -> tuple[TableFile, ...]:
    """The files of table `path` at `version`, ordered by what they hold.

    Raises:
        StreamError: no such table or version; a table feature that cannot be read exactly; a file that VACUUM has taken.
    """
    table = _open(path, version)
    _refuse_unreadable(path, version, table)
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    partitioned_by = table.metadata().partition_columns
    files = []
    for uri, action in zip(table.file_uris(), actions, strict=True):
        if not uri.endswith(action["path"]):
            raise StreamError(
                f"{path}: delta-rs lists its files and their statistics in different orders. Use deltalake 1.6.6."
            )
        partitions = {name: str(action[f"partition.{name}"]) for name in partitioned_by}
        name = uri if "://" in uri else unquote(uri)  # delta-rs also escapes paths, which are no addresses
        rows = _rows(path, version, name, action.get("num_records"))
        files.append(TableFile(name, rows, partitions, action.get("min.example_id") or ""))
    return tuple(sorted(files, key=file_order))


def file_order(file: TableFile) -> tuple[str, str]:
    """Sorts files alike in every build of the same table."""
    return file.first_example, file.uri


def training_files(path: str, version: int) -> tuple[TableFile, ...]:
    """The files of split `train` of a sequences table.

    Raises:
        StreamError: as `table_files`, or there are no rows to train on.
    """
    files = keep_partition(table_files(path, version), "split", "train")
    if not sum(f.rows for f in files):
        raise StreamError(
            f"{path}: version {version} has no training rows (split = 'train'). "
            "Check sequences.split, and that there are users with enough events."
        )
    return files


def keep_partition(files: Iterable[TableFile], column: str, value: str) -> tuple[TableFile, ...]:
    """The files whose partition `column` is `value`."""
    return tuple(f for f in files if f.partitions.get(column) == value)


def _open(path: str, version: int) -> DeltaTable:
    try:
        return DeltaTable(path, version=version)
    except TableNotFoundError as error:
        raise StreamError(f"{path}: no Delta table at this path. Run the job that writes it.") from error
    except DeltaError as error:
        raise StreamError(f"{path}: version {version} cannot be read from the log: {error}") from error


def _refuse_unreadable(path: str, version: int, table: DeltaTable) -> None:
    features = set(table.protocol().reader_features or ()) - HARMLESS
    if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        features.add("columnMapping")  # tables of reader version 2 name it here alone
    if features:
        problems = "; ".join(f"{f}: {WAYS_OUT.get(f, 'the stream does not know it')}" for f in sorted(features))
        raise StreamError(f"{path}: version {version} uses table features that cannot be streamed exactly. {problems}.")


def _rows(path: str, version: int, uri: str, logged: int | None) -> int:
    """Rows of one file: from the log, or from the file's footer where the writer kept no statistics."""
    filesystem, name = fsspec.core.url_to_fs(uri)
    if not filesystem.exists(name):
        raise StreamError(
            f"{path}: version {version} needs {name.rsplit('/', 1)[-1]}, which is gone: VACUUM has taken this version. "
            "Use a newer version, or build the table again."
        )
    if logged is not None:
        return int(logged)
    with filesystem.open(name) as file:
        return int(pq.ParquetFile(file).metadata.num_rows)
