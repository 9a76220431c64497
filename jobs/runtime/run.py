"""One run of a job: pinned inputs, atomic outputs, its row of the ledger."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from features.errors import ContractError, NoInputError
from features.schema import Table
from features.tables import all_tables
from jobs.runtime import ledger
from jobs.runtime.arguments import Arguments
from jobs.runtime.changes import is_untouched
from jobs.runtime.command import failed
from jobs.runtime.config import Scenario, digest
from jobs.runtime.dates import DateRange
from jobs.runtime.errors import known
from jobs.runtime.java import check_java
from jobs.runtime.logs import JsonLog
from jobs.runtime.session import fit_shuffles
from jobs.runtime.sources import raw_files
from jobs.runtime.version import code_version
from jobs.runtime.warehouse import Warehouse

if TYPE_CHECKING:
    from jobs.runtime.job import Job


class Run:
    """What `Job.build` gets."""

    def __init__(self, spark: SparkSession, config: Scenario, given: Arguments, job: Job) -> None:
        self.spark, self.config, self.job, self.run_id = spark, config, job, given.run_id
        self.dates, self.force, self.options = given.dates, given.force, given.options
        self.logger = JsonLog(run_id=given.run_id, job=job.name)
        self.tables = all_tables(config.features)
        self.warehouse = Warehouse(spark, config.warehouse, config.catalog)
        self.versions: dict[str, int] = {}
        self.raw: list[tuple[str, int, int]] = []
        self._decisive = {**_ends(given.dates), **given.options}
        self.row = ledger.RunRow(
            run_id=given.run_id,
            job=job.name,
            started_at=datetime.datetime.now(datetime.UTC),
            arguments=json.dumps({**self._decisive, "set": given.overrides, "force": given.force}, default=str),
            config_hash=config.hash(),
        )

    def pin(self) -> None:
        """Fixes what the run reads: versions of tables, and raw files.

        Raises:
            NoInputError: there is no raw file.
            ConfigError: a path, version, encoding or pattern, that raw files are found, read or checked by, is none.
        """
        self.versions = {name: v for name in self.job.reads if (v := self.warehouse.version(name)) is not None}
        self.row.inputs = dict(self.versions)
        if self.job.reads_raw_files:
            check_java(self.spark, self.config)
            self.raw = self._raw_files()
        self.row.recipe = self.recipe_of(self.job)
        self.row.fingerprint = digest([self.row.recipe, self._decisive, self.versions, self.raw])

    def recipe_of(self, job: Job) -> str:
        """What a job makes its tables by under this configuration, as the ledger has it."""
        declared = self.config.dump(*job.sections, without=job.ignored) if job.sections else {}
        return ledger.recipe_of([job.name, declared], code_version())

    # Tables

    def table(self, name: str) -> Table:
        return self.tables[name]

    def path(self, name: str) -> str:
        return self.warehouse.path(name)

    def mounted(self, name: str) -> str:
        """The path as programs that know nothing of Spark's file systems open it."""
        return self.path(name).removeprefix("file:")

    def exists(self, name: str) -> bool:
        """Whether the table is there now, for `newest`."""
        return self.warehouse.exists(name)

    def can_read(self, name: str) -> bool:
        """Whether this run has a version of the table, for `read`: one that was made after the run began it has not."""
        return name in self.row.outputs or name in self.versions

    def version(self, name: str) -> int:
        """The version that this run reads; of a table that it has written, the one that it wrote."""
        if name in self.row.outputs:
            return self.row.outputs[name]
        if name not in self.versions:
            raise NoInputError(f"{name}: there is no table at {self.path(name)}. Run the job that writes it first.")
        return self.versions[name]

    def read(self, name: str) -> DataFrame:
        """The table at this run's version, with exactly its columns."""
        return self.warehouse.read(self.table(name), self.version(name))

    def events(self) -> DataFrame:
        """The events up to the last day of the run: what sequences are cut from, and judged on."""
        events = self.read("events")
        return events if self.dates is None else events.where(F.col("date") <= F.lit(self.dates.end))

    def newest(self, name: str) -> DataFrame:
        """One of the run's own tables, as another run has left it."""
        return self.warehouse.read(self.table(name))

    def write(self, name: str, df: DataFrame, where: str | None = None) -> int:
        """Replaces the table, or its rows that match `where`, in one commit; returns the rows written."""
        with self.step("write", table=name) as fields:
            written = self.warehouse.write(self.table(name), df, where)
            fields.update(rows=written.rows, version=written.version)
        self.row.outputs[name] = written.version
        return written.rows

    def append_since(self, name: str, df: DataFrame, since: int) -> int:
        """Adds rows that were computed from version `since` of the table; returns how many."""
        with self.step("append", table=name) as fields:
            written = self.warehouse.append_since(self.table(name), df, since)
            fields.update(rows=written.rows, version=written.version)
        self.row.outputs[name] = written.version
        return written.rows

    def keep(self) -> None:
        """Leaves every output as it is: it is what this run would make."""
        self.row.outputs = {name: v for name in self.job.writes if (v := self.warehouse.version(name)) is not None}
        self.log("unchanged", outputs=self.row.outputs)

    def expect_all(self, name: str) -> None:
        """Every row of the table is about to be sent and sorted; without this, as many as the raw files hold.

        Raises:
            NoInputError: there is no such table.
        """
        fit_shuffles(self.spark, self.warehouse.size(name, self.version(name)))

    def as_of(self) -> datetime.date:
        """The day, at whose start users are scored: the day after the run's last day, or after the last event."""
        return (self.last_day if self.dates is None else self.dates.end) + datetime.timedelta(days=1)

    @cached_property
    def last_day(self) -> datetime.date:
        """The day of the last event.

        Raises:
            NoInputError: there is no event.
        """
        last: datetime.date | None = self.read("events").agg(F.max("date")).head()[0]  # type: ignore[index]
        if last is None:
            raise NoInputError("events: the table is empty, so there is no day to score for.")
        return last

    def base(self) -> ledger.Base | None:
        """What the outputs, as they are now, were made from; None: build everything, as a forced run without dates does."""
        if self.force and self.dates is None:
            return None
        return ledger.base(self._runs_before, self.row.recipe, partial(self.is_as_left, self.job), dated=self.dates is not None)

    def expect_same_declarations(self) -> None:
        """The run is about to replace rows among others.

        Raises:
            ContractError: the others were built with other declarations, so that rows of two meanings would be mixed.
        """
        if ledger.is_declared_otherwise(self._runs_before, self.row.recipe):
            raise ContractError(
                f"{self.job.name}: with dates, the configuration must declare what the tables were built with. Received "
                f"other values in {' or '.join(self.job.sections)}. Run the job once without dates, which builds everything."
            )

    # Ledger and log

    @cached_property
    def _runs_before(self) -> list[Row]:
        return ledger.newest_runs(self.warehouse, self.job.name)

    def count(self, name: str, number: int) -> None:
        self.row.counts[name] = self.row.counts.get(name, 0) + int(number)

    def account(self, rows_in: int, rows_out: int, duplicates: int = 0, refused: int = 0) -> None:
        """Every row read is written, a duplicate or refused.

        Raises:
            ContractError: the numbers do not add up, so rows were lost or doubled.
        """
        row = self.row
        row.rows_in, row.rows_out, row.rows_duplicate, row.rows_refused = rows_in, rows_out, duplicates, refused
        self.log("account", rows_in=rows_in, rows_out=rows_out, duplicates=duplicates, refused=refused)
        if rows_in != rows_out + duplicates + refused:
            raise ContractError(
                f"{self.job.name}: rows in must equal rows out + duplicates + refused. "
                f"Received {rows_in} != {rows_out} + {duplicates} + {refused}."
            )

    def log(self, step: str, **fields: object) -> None:
        self.logger.write(step, **fields)

    @contextmanager
    def step(self, name: str, **fields: object) -> Iterator[dict[str, Any]]:
        with self.logger.step(name, **fields) as more:
            yield more

    # The run as a whole

    def is_up_to_date(self) -> bool:
        """The last good run had the same fingerprint, and the tables are as it left them."""
        outputs = ledger.last_good(self._runs_before, self.row.fingerprint)
        if outputs is None or not all(self.is_as_left(self.job, name, version) for name, version in outputs.items()):
            return False
        self.row.outputs = outputs  # not before: a run that fails here has written nothing
        return True

    def is_as_left(self, job: Job, name: str, version: int) -> bool:
        """Whether a table that a job left at a version still has the job's own rows, all where it shares it with no other, in
        the same files: VACUUM makes a version more, too."""
        return is_untouched(self.warehouse, self.table(name), version, job.shared.get(name, "TRUE"))

    def perform(self) -> int:
        """Builds, then ends; returns the exit code."""
        self.row.outputs = {}
        self.log("start", inputs=self.versions, **_ends(self.dates))
        try:
            fit_shuffles(self.spark, sum(size for _, size, _ in self.raw))
            self.job.build(self)
        except Exception as error:
            return self.finish(known(error))
        finally:
            self.spark.catalog.clearCache()
        return self.finish()

    def finish(self, error: Exception | None = None) -> int:
        """Writes the ledger row; returns the exit code."""
        row = self.row
        row.seconds = round((datetime.datetime.now(datetime.UTC) - row.started_at).total_seconds(), 3)
        if error is not None:
            row.exit_code, row.error = failed(self.logger, error), str(error)
        try:
            ledger.record(self.warehouse, row)
        except Exception as lost:
            if error is None:
                raise
            self.log("not_recorded", error=str(lost))  # the run's own error tells what to do
        self.log("end", seconds=row.seconds, exit_code=row.exit_code, outputs=row.outputs, counts=row.counts)
        return row.exit_code

    def plan(self) -> str:
        """What the run would read and write, for people."""
        days = "all days" if self.dates is None else f"days {self.dates}"
        lines = [f"{self.job.name}: {days}, warehouse {self.warehouse.root}"]
        lines += [f"  reads  file {path}, {size} bytes" for path, size, _ in self.raw]
        lines += [f"  reads  {name} version {self.versions.get(name, 'none yet')}" for name in self.job.reads]
        for name in self.job.writes:
            by = ", ".join(self.table(name).partitions) or "none"
            now = self.warehouse.version(name)
            lines.append(f"  writes {name}, partitions by {by}, now {'absent' if now is None else f'version {now}'}")
        return "\n".join(lines)

    def _raw_files(self) -> list[tuple[str, int, int]]:
        given = self.config.source.given
        return [f for name, source in given.items() for f in raw_files(self.spark, name, source, self.dates)]


def _ends(dates: DateRange | None) -> dict[str, datetime.date | None]:
    return {"start": None, "end": None} if dates is None else {"start": dates.start, "end": dates.end}
