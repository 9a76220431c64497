"""The table `runs`: every run of every job that reached its end, and the question whether one more is needed."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from pyspark.sql import Row
from pyspark.sql import functions as F

from features.tables import RUNS
from jobs.runtime.days import Days
from jobs.runtime.warehouse import Warehouse

_LOOKED_AT = 200  # newest runs of a job; what none of them tells is built again


@dataclass
class RunRow:
    """A row of `runs`, filled while the job runs; see features/tables.py for the columns."""

    run_id: str
    job: str
    started_at: datetime.datetime
    arguments: str
    config_hash: str
    fingerprint: str = ""
    recipe: str = ""
    seconds: float = 0.0
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    rows_in: int | None = None
    rows_out: int | None = None
    rows_duplicate: int | None = None
    rows_refused: int | None = None
    counts: dict[str, int] = field(default_factory=dict)
    exit_code: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Base:
    """Versions of the tables that a run has read, and of those that it has left; `since`: days of runs with dates since."""

    inputs: dict[str, int]
    outputs: dict[str, int]
    since: Days


def record(warehouse: Warehouse, row: RunRow) -> None:
    """Writes the row once, however often it is tried."""
    values = asdict(row)
    df = warehouse.spark.createDataFrame([tuple(values[c.name] for c in RUNS.columns)], RUNS.schema)
    # An orchestrator that tries again may give the run the same id.
    warehouse.append_once(RUNS, df.coalesce(1), token=f"{row.run_id}/{row.job}/{row.started_at.isoformat()}")


def newest_runs(warehouse: Warehouse, job: str) -> list[Row]:
    """The newest runs of a job, the last one first: what the two functions below look at."""
    if not warehouse.exists(RUNS.name):
        return []
    runs = warehouse.read(RUNS).where(F.col("job") == job).orderBy(F.desc("started_at")).limit(_LOOKED_AT)
    return runs.select("fingerprint", "recipe", "arguments", "exit_code", "inputs", "outputs").collect()


def last_good(runs: Sequence[Row], fingerprint: str) -> dict[str, int] | None:
    """Versions of the tables that the last good run of this fingerprint left; None: there was none."""
    good = (run for run in runs if run["fingerprint"] == fingerprint and run["exit_code"] == 0)
    row = next(good, None)
    return None if row is None else dict(row["outputs"])


def base(warehouse: Warehouse, runs: Sequence[Row], recipe: str) -> Base | None:
    """The run that last made the tables of a job, as they are now, whole; None: one must start anew.

    That is the last good run without dates, if it and every run since had this recipe, and if nobody else has written the
    tables. Runs with dates may have come since: their days were made from inputs that may be there no more. After a run
    without dates that wrote and failed nobody knows the days.
    """
    versions: dict[str, int] = {}
    since = Days.of(())
    for run in runs:
        if run["recipe"] != recipe:
            return None
        versions = dict(run["outputs"]) | versions
        start, end = (json.loads(run["arguments"])[name] for name in ("start", "end"))
        if start is not None:
            since |= Days.span(datetime.date.fromisoformat(start), datetime.date.fromisoformat(end))
        elif run["exit_code"] == 0:
            untouched = all(warehouse.version(name) == v for name, v in versions.items())
            return Base(dict(run["inputs"]), dict(run["outputs"]), since) if untouched else None
        elif run["outputs"]:
            return None
    return None
