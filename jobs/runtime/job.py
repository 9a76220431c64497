"""What makes a function a job: a command line, a run that may be skipped, a row of the ledger, an exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import SparkSession

from features.tables import RUNS
from jobs.runtime.arguments import Arguments, Option
from jobs.runtime.command import failed, run_command
from jobs.runtime.config import Scenario
from jobs.runtime.errors import ConfigError, known
from jobs.runtime.logs import JsonLog
from jobs.runtime.run import Run


@dataclass(frozen=True)
class Job:
    """A spark-submit entry.

    `sections` are the parts of the configuration that decide its result, but for the `ignored` keys (`section.key.key`);
    `shared` are tables that other jobs write too, so that their version says nothing about whether this job's rows are
    still there, with the condition that its own rows match. A run with one of the job's own `options` is never skipped.
    `check` raises ConfigError where the configuration alone tells that the job cannot run. `inspect` looks at the inputs in a
    dry run, and raises what a run would raise before it writes anything.
    """

    name: str
    build: Callable[[Run], None]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    shared: Mapping[str, str] = field(default_factory=dict)
    reads_raw_files: bool = False
    options: tuple[Option, ...] = ()
    description: str = ""
    check: Callable[[Run], None] | None = None
    inspect: Callable[[Run], None] | None = None

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Runs the job as a command and returns its exit code."""
        return run_command(self.name, self.description, argv, self.execute, self.options)

    def new_run(self, spark: SparkSession, config: Scenario, given: Arguments) -> Run:
        """A run that may begin.

        Raises:
            ConfigError: the warehouse cannot be used, or not by this job.
        """
        run = Run(spark, config, given, self)
        if self.check is not None:
            self.check(run)
        return run

    def execute(self, spark: SparkSession, config: Scenario, given: Arguments) -> int:
        """Runs the job in a session: skipped where nothing has changed, recorded in the ledger, whatever happens."""
        log = JsonLog(run_id=given.run_id, job=self.name)
        try:
            run = self.new_run(spark, config, given)
        except ConfigError as error:
            return failed(log, error)
        try:
            run.warehouse.check_catalog((*self.writes, RUNS.name))
            if not given.dry_run:
                run.warehouse.check_writable()
            run.pin()
            if given.dry_run:
                print(run.plan())
                if self.inspect is not None:
                    self.inspect(run)
                return 0
            if not (given.force or given.options) and run.is_up_to_date():
                log.write("up_to_date", outputs=run.row.outputs)
                return 0
        except ConfigError as error:  # nothing to write the ledger with
            return failed(log, error)
        except Exception as error:
            return failed(log, known(error)) if given.dry_run else run.finish(error)
        return run.perform()
