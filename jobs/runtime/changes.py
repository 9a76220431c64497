"""What has changed between two versions of a table, told from the files that only one of them has.

Raises VacuumedError where an earlier version is no longer there."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from urllib.parse import unquote

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import MapType, StructField

from features.schema import Table
from jobs.runtime.warehouse import Warehouse


class VacuumedError(Exception):
    """A version of a table, or one of its files, is gone: VACUUM has taken it, or its log has ended."""


def changed_rows(warehouse: Warehouse, table: Table, before: int, now: int) -> DataFrame | None:
    """The rows of the files that only one of the two versions has, with `sign`: -1 before, 1 now. None: no such file.

    A file that was rewritten gives the rows that it kept twice, with both signs.
    """
    files = [_files(warehouse, table, version) for version in (before, now)]
    sides = [(-1, files[0] - files[1]), (1, files[1] - files[0])]
    frames = [_read(warehouse, table, sorted(only)).withColumn("sign", F.lit(sign)) for sign, only in sides if only]
    if not frames:
        return None
    return frames[0] if len(frames) == 1 else frames[0].unionByName(frames[1])


def is_untouched(warehouse: Warehouse, table: Table, before: int, where: str) -> bool:
    """Whether nobody has written the rows that match `where`, a condition on partitions, since version `before`.

    False, too, where that version is no longer there.
    """
    now = warehouse.version(table.name)
    if now is None:
        return False
    try:
        return now == before or _files(warehouse, table, before, where) == _files(warehouse, table, now, where)
    except VacuumedError:
        return False


def changed_groups(rows: DataFrame, by: str, columns: Sequence[str]) -> DataFrame:
    """Distinct values of `by` whose rows, told by `columns`, differ between the two versions.

    Rows are compared by an exclusive or of their hashes and by their number, whatever the order.
    """
    types = {field.name: field for field in rows.schema.fields}
    # A hash passes over null, so that a value that moves to the next column would be no change.
    hashed = F.xxhash64(*[c for name in columns for c in (F.col(name).isNull(), _hashable(types[name]))])
    sums = rows.groupBy(by).agg(F.bit_xor(hashed).alias("hash"), F.sum("sign").alias("rows"))
    return sums.where((F.col("hash") != 0) | (F.col("rows") != 0)).select(by)


def changed_days(warehouse: Warehouse, table: Table, before: int, now: int) -> list[datetime.date]:
    """The days, in order, of which a table by `date` has other rows at version `now` than at version `before`."""
    rows = changed_rows(warehouse, table, before, now)
    if rows is None:
        return []
    columns = [c.name for c in table.columns if c.name not in table.partitions]
    return sorted(row["date"] for row in changed_groups(rows, "date", columns).collect())


def _hashable(field: StructField) -> Column:
    """Spark does not hash maps, as their order may differ."""
    return F.sort_array(F.map_entries(field.name)) if isinstance(field.dataType, MapType) else F.col(field.name)


def _files(warehouse: Warehouse, table: Table, version: int, where: str = "TRUE") -> set[str]:
    path = warehouse.path(table.name)
    try:
        whole = warehouse.spark.read.format("delta").option("versionAsOf", version).load(path)
        return set(whole.where(where).inputFiles())
    except AnalysisException as error:
        raise VacuumedError(f"{table.name}: version {version}") from error


def _read(warehouse: Warehouse, table: Table, files: Sequence[str]) -> DataFrame:
    """Rows of single files; partition columns, which stand in no file, are null."""
    try:
        return warehouse.spark.read.schema(table.schema).parquet(*[unquote(file) for file in files])
    except AnalysisException as error:  # Spark looks for files that are named to it at once
        raise VacuumedError(f"{table.name}: {len(files)} files") from error
