"""The table `runs`: every run of every job that reached its end, and the question whether one more is needed."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from pyspark.sql import Row
from pyspark.sql import functions as F

from features.tables import RUNS
from jobs.runtime.config import digest
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
    """What the tables of a job, as they are now, were made from.

    Attributes:
        inputs: versions of the tables that were read: by the last good run, then by those that have failed since and may
            have written a part.
        outputs: versions of the tables that they have left.
        ends: last days of the runs with dates since the last good one without.
    """

    inputs: tuple[dict[str, int], ...]
    outputs: dict[str, int]
    ends: Days

    @property
    def is_whole(self) -> bool:
        """The last run that wrote was good, so that all tables are of the same inputs."""
        return len(self.inputs) == 1


def record(warehouse: Warehouse, row: RunRow) -> None:
    """Writes the row once, however often it is tried."""
    values = asdict(row)
    df = warehouse.spark.createDataFrame([tuple(values[c.name] for c in RUNS.columns)], RUNS.schema)
    # An orchestrator that tries again may give the run the same id.
    warehouse.append_once(RUNS, df.coalesce(1), token=f"{row.run_id}/{row.job}/{row.started_at.isoformat()}")


def newest_runs(warehouse: Warehouse, job: str) -> list[Row]:
    """The newest runs of a job, the last one first: what the functions below look at."""
    if not warehouse.exists(RUNS.name):
        return []
    runs = warehouse.read(RUNS).where(F.col("job") == job).orderBy(F.desc("started_at")).limit(_LOOKED_AT)
    return runs.select("fingerprint", "recipe", "arguments", "exit_code", "inputs", "outputs").collect()


def last_good(runs: Sequence[Row], fingerprint: str) -> dict[str, int] | None:
    """Versions of the tables that the last good run of this fingerprint left; None: there was none."""
    good = (run for run in runs if run["fingerprint"] == fingerprint and run["exit_code"] == 0)
    row = next(good, None)
    return None if row is None else dict(row["outputs"])


def base(runs: Sequence[Row], recipe: str, is_left: Callable[[str, int], bool], dated: bool) -> Base | None:
    """What a job's tables, as they are now, were made from; None: one must start anew.

    For jobs whose every good run, with dates or without, leaves its tables as they follow from its inputs. So the last one
    tells, with those that have written and failed since, if all of them had this recipe, and if nobody else has written
    the tables.

    Args:
        is_left: whether a table is still as it was at a version.
        dated: whether the run that asks has dates. One without must know all that had since the last one without.
    """
    written = [run for run in reversed(runs) if _has_written(run)]  # the oldest first
    good = [n for n, run in enumerate(written) if run["exit_code"] == 0]
    if not good:
        return None
    made_by = written[good[-1] :]  # the last good run, and the failures since
    outputs = {name: version for run in made_by for name, version in run["outputs"].items()}
    untouched = all(is_left(name, version) for name, version in outputs.items())
    if not untouched or any(run["recipe"] != recipe for run in made_by):
        return None
    without_dates = [n for n in good if _end(written[n]) is None]
    if not without_dates and not dated and len(runs) == _LOOKED_AT:  # the last one lies further back
        return None
    since = written[without_dates[-1] + 1 :] if without_dates else written
    ends = Days.of(end for run in since if (end := _end(run)) is not None)
    return Base(tuple(dict(run["inputs"]) for run in made_by), outputs, ends)


def last_written(runs: Sequence[Row]) -> Row | None:
    """The last run that was good, or failed and had written by then; None: there was none."""
    return next((run for run in runs if _has_written(run)), None)


def is_declared_otherwise(runs: Sequence[Row], recipe: str) -> bool:
    """The last run that wrote had other declarations than those of the recipe."""
    last = last_written(runs)
    return last is not None and _declarations(last["recipe"]) != _declarations(recipe)


def recipe_of(declarations: object, code: object) -> str:
    """What decides a result, but for its inputs: what is declared, and which code makes it.

    Where the warehouse lies does not: the ledger moves with the tables."""
    return f"{digest(declarations)}/{digest(code)}"


def _declarations(recipe: str) -> str:
    return recipe.partition("/")[0]


def _has_written(run: Row) -> bool:
    return bool(run["exit_code"] == 0 or run["outputs"])


def _end(run: Row) -> datetime.date | None:
    """The last day of a run with dates."""
    end = json.loads(run["arguments"])["end"]
    return None if end is None else datetime.date.fromisoformat(end)
