"""Delta tables by name: pinned reads, atomic replaces, appends to a version."""

from __future__ import annotations

import datetime
import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from features.errors import ContractError, NoInputError
from features.schema import Table, conform
from jobs.runtime.catalog import Catalog
from jobs.runtime.errors import LOST_RACE, ConfigError, TransientError, reason
from jobs.runtime.files import hadoop_path, qualified

_ROW_GROUP = "parquet.block.size"
_ATTEMPTS = 5  # of a write that lost the race against another; what we write replaces, so trying again is safe


@dataclass(frozen=True)
class Written:
    version: int
    rows: int


def equals(**values: str | datetime.date) -> str:
    """Predicate for rows with these values; text must be plain, so that no value can become SQL."""
    for value in values.values():
        if isinstance(value, str) and not re.fullmatch(r"[\w.:-]+", value):
            raise ValueError(f"a value in a predicate has letters, digits, _ . : - only. Received {value!r}.")
    return " AND ".join(
        f"{column} = DATE'{value.isoformat()}'" if isinstance(value, datetime.date) else f"{column} = '{value}'"
        for column, value in values.items()
    )


class Warehouse:
    """The tables under one folder."""

    def __init__(self, spark: SparkSession, root: str, catalog: str | None = None) -> None:
        self.spark = spark
        # An absolute path, since executors and other tools do not share our working directory.
        try:
            whole = qualified(spark, root)
        except Exception as error:  # no such kind of file system, or it cannot be reached
            raise ConfigError(f"warehouse: must be a path that Spark can use. Received {root!r}: {reason(error)}") from error
        bare = whole.removeprefix("file:")  # which is a path of HDFS where Hadoop's default is that
        self.root = (bare if qualified(spark, bare) == whole else whole).rstrip("/")
        self.catalog = None if catalog is None else Catalog(spark, catalog)

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def exists(self, name: str) -> bool:
        return DeltaTable.isDeltaTable(self.spark, self.path(name))

    def version(self, name: str) -> int | None:
        """Newest version of a table; None where there is no table."""
        if not self.exists(name):
            return None
        nothing = self._nothing()
        return int(self._log(name).update(False, nothing, nothing).version())

    def size(self, name: str, version: int) -> int:
        """Bytes of the files of a table at a version."""
        nothing = self._nothing()
        return int(self._log(name).getSnapshotAt(version, nothing, nothing).sizeInBytes())

    def _log(self, name: str):  # type: ignore[no-untyped-def]  # an object of the JVM
        jvm = self.spark._jvm  # Python has only the history, which starts a Spark job to tell the version
        return jvm.org.apache.spark.sql.delta.DeltaLog.forTable(self.spark._jsparkSession, self.path(name))  # type: ignore[union-attr]

    def _nothing(self):  # type: ignore[no-untyped-def]  # of Scala
        return self.spark._jvm.scala.Option.empty()

    def check_writable(self) -> None:
        """Raises ConfigError where the warehouse is no folder that we can write to."""
        probe = f"{self.root}/.write_probe-{uuid.uuid4().hex}"  # on HDFS two jobs cannot write one file
        try:
            path, system = hadoop_path(self.spark, probe)
            system.mkdirs(path.getParent())
            system.create(path, True).close()
            system.delete(path, False)
        except Exception as error:
            raise ConfigError(
                f"warehouse: must be a folder that can be written. Received {self.root!r}: {reason(error)}"
            ) from error

    def check_catalog(self, names: Iterable[str]) -> None:
        """Raises ConfigError where these tables cannot be registered: the schema is not there, or has others of these names."""
        if self.catalog is not None:
            self.catalog.check({name: self.path(name) for name in names})

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """The table at a version (the newest where none is given), with exactly its columns.

        Raises:
            NoInputError: there is no such table.
            ContractError: it has other columns.
        """
        if not self.exists(table.name):
            raise NoInputError(f"{table.name}: there is no table at {self.path(table.name)}. Run the job that writes it first.")
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return conform(reader.load(self.path(table.name)), table)

    def write(self, table: Table, df: DataFrame, where: str | None = None) -> Written:
        """Replaces the table, or its rows that match `where`, in one commit.

        Raises:
            ContractError: the table exists with other columns and is not replaced whole.
            TransientError: other runs kept writing the same rows.
        """
        df, token = conform(df, table), uuid.uuid4().hex
        self.create(table)
        writer = df.select(*[F.col(c.name).alias(c.name, metadata={"comment": c.comment}) for c in table.columns]).write
        writer = writer.format("delta").mode("overwrite").partitionBy(*table.partitions).option("userMetadata", token)
        if where is not None:
            self._check_columns(table)
            writer = writer.option("replaceWhere", where)
        elif (there := self._same_columns(table)) is None:
            # In one commit; but columns that are never null are then no longer declared so, as a DataFrame cannot say it.
            writer = writer.option("overwriteSchema", "true")
        else:
            self._describe(table, there)
        before = self.version(table.name)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._row_groups(table):
                    writer.save(self.path(table.name))
                written = self._written(table.name, before, token)
                return written or Written(self.version(table.name) or 0, 0)  # nothing replaced nothing, which is no commit
            except LOST_RACE as error:
                if attempt == _ATTEMPTS:
                    raise TransientError(f"{table.name}: another run is writing the same rows. Try again.") from error
        raise AssertionError("unreachable")

    def append_since(self, table: Table, df: DataFrame, since: int) -> Written:
        """Adds rows that were computed from version `since` of the table.

        Raises:
            TransientError: another run has changed the table since.
        """
        self._check_columns(table)
        token, lost = uuid.uuid4().hex, f"{table.name}: another run has written it since version {since}. Try again."
        if self.version(table.name) != since:
            raise TransientError(lost)
        writer = conform(df, table).write.format("delta").mode("append").option("userMetadata", token)
        # Another run may still come first. Delta skips a transaction of this name and number that is there when ours begins,
        # and refuses ours where one is committed until it ends.
        try:
            writer.option("txnAppId", "append_since").option("txnVersion", since + 1).save(self.path(table.name))
        except LOST_RACE as error:
            raise TransientError(lost) from error
        written = self._written(table.name, since, token)
        if written is None:
            raise TransientError(lost)
        return written

    def append_once(self, table: Table, df: DataFrame, token: str) -> None:
        """Appends rows; a second append with the same token does nothing."""
        self.create(table)
        writer = conform(df, table).write.format("delta").mode("append")
        writer.option("txnAppId", token).option("txnVersion", 1).save(self.path(table.name))

    def create(self, table: Table) -> None:
        """Makes an empty table with comments, partitions and NOT NULL where there is none, and registers it."""
        if not self.exists(table.name):
            builder = DeltaTable.createIfNotExists(self.spark).location(self.path(table.name)).comment(table.comment)
            builder = builder.property("delta.dataSkippingStatsColumns", ",".join(table.skipping))
            for field in table.schema.fields:
                comment = field.metadata["comment"]
                builder = builder.addColumn(field.name, field.dataType, nullable=field.nullable, comment=comment)
            try:
                builder.partitionedBy(*table.partitions).execute() if table.partitions else builder.execute()
            except Exception:
                if not self._appears(table.name):  # else another run has made it at the same moment
                    raise
        if self.catalog is not None:
            self.catalog.register(table.name, self.path(table.name))

    @contextmanager
    def _row_groups(self, table: Table) -> Iterator[None]:
        """Writes in here make row groups of the table's size: Delta hands on settings of the session, not of the write."""
        if table.row_group_bytes is None:
            yield
            return
        self.spark.conf.set(_ROW_GROUP, table.row_group_bytes)
        try:
            yield
        finally:
            self.spark.conf.unset(_ROW_GROUP)

    def _appears(self, name: str) -> bool:
        for _ in range(50):
            if self.exists(name):
                return True
            time.sleep(0.1)
        return False

    def _check_columns(self, table: Table) -> StructType:
        """Their schema as it is there."""
        found = self.spark.read.format("delta").load(self.path(table.name))
        conform(found, table)
        more = set(found.columns) - {c.name for c in table.columns}
        if more:
            raise ContractError(
                f"{table.name}: has columns that the configuration does not: {sorted(more)}. "
                "Run the job once without dates, which replaces the table."
            )
        return found.schema

    def _same_columns(self, table: Table) -> StructType | None:
        """Their schema as it is there; None: there are others."""
        try:
            return self._check_columns(table)
        except ContractError:
            return None

    def _describe(self, table: Table, there: StructType) -> None:
        """Gives columns their comments of today, in a commit of its own: a write leaves those that it finds."""
        changed = [c for c in table.columns if there[c.name].metadata.get("comment") != c.comment]
        if not changed:
            return
        jvm, array = self.spark._jvm, self.spark.sparkContext._gateway.new_array  # type: ignore[union-attr]
        catalogs, text = jvm.org.apache.spark.sql.connector.catalog, jvm.java.lang.String  # type: ignore[union-attr]
        changes, namespace = array(catalogs.TableChange, len(changed)), array(text, 1)
        for i, column in enumerate(changed):
            name = array(text, 1)
            name[0] = column.name
            changes[i] = catalogs.TableChange.updateColumnComment(name, column.comment)
        namespace[0] = "delta"  # of tables by their path
        catalog = self.spark._jsparkSession.sessionState().catalogManager().catalog("spark_catalog")
        catalog.alterTable(catalogs.Identifier.of(namespace, self.path(table.name)), changes)

    def _written(self, name: str, before: int | None, token: str) -> Written | None:
        """The commit since version `before` that carries our token; None: there is none."""
        newest, first = self.version(name) or 0, -1 if before is None else before
        for version in range(newest, first, -1):
            commit = self._commit(name, version)
            if commit.get("userMetadata") == token:
                numbers = commit.get("operationMetrics", {})
                # A file that holds rows to replace and rows to keep is written anew; those it keeps count as copied.
                return Written(version, int(numbers.get("numOutputRows", 0)) - int(numbers.get("numCopiedRows", 0)))
        return None

    def _commit(self, name: str, version: int) -> dict[str, Any]:
        """What a commit says of itself, which other writers may leave out.

        Delta's history would start a Spark job and read many commits to tell it.
        """
        path, system = hadoop_path(self.spark, f"{self.path(name)}/_delta_log/{version:020}.json")
        java = self.spark._jvm.java.io  # type: ignore[union-attr]
        reader = java.BufferedReader(java.InputStreamReader(system.open(path), "UTF-8"))
        try:
            for line in iter(reader.readLine, None):
                action = json.loads(line)
                if "commitInfo" in action:
                    return dict(action["commitInfo"])
        finally:
            reader.close()
        return {}
