"""Clean the raw logs: typed, checked, without duplicates; what is refused is kept with its reasons.

Reads   the raw files of `source`
Writes  quarantine  refused rows; a run with dates replaces those of its dates, and all that belong to no date
        items       the catalogue, whole
        users       the users, whole
        statistics  what missing content was filled with
        events      all of them, or those of the run's dates

Every raw row becomes an event, a duplicate or a refused row, and the ledger says how many of each. Quarantine is written
first, so that a run that ends with 3 leaves the rows to look at. Each source is read once: its labelled rows are kept in
memory or on disk until the end of the run. Repeats are looked for among the rows that the run reads: where a path holds
{date}, a repeat in the file of another day is not seen.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from features.bots import with_bots
from features.checks import reason, with_checks
from features.clean_config import Impute
from features.duplicates import is_accepted, is_kept, with_duplicate, with_event_id, with_tie_order
from features.entities import parse_items, parse_tags, parse_users, with_tags
from features.errors import ContractError, NoInputError
from features.imputation import imputed
from features.parsing import parse_events
from features.quarantine import UNDATED, quarantined, with_date
from features.schema import month_of
from jobs.runtime.job import Job, Run
from jobs.runtime.sources import read_raw
from jobs.runtime.warehouse import between, equals

ENTITIES = ("items", "users", "tags")


@dataclass
class Tally:
    """Rows of one source by what became of them."""

    rows: int = 0  # of the run's dates
    outside: int = 0  # of other dates, or of none in a run with dates
    kept: int = 0
    refused: int = 0
    duplicates: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # a row with two reasons counts under both
    warnings: Counter[str] = field(default_factory=Counter)


def build(run: Run) -> None:
    rows = {name: labelled.persist(StorageLevel.MEMORY_AND_DISK) for name, labelled in _entities(run).items()}
    rows["events"] = _events(run, rows).persist(StorageLevel.MEMORY_AND_DISK)
    tallies = {name: _tally(run, name, labelled) for name, labelled in rows.items()}
    for name, tally in tallies.items():
        _check_found(run, name, tally.rows, "nothing" if tally.outside == 0 else f"{tally.outside} rows of other or no dates")
    run.write("quarantine", _quarantine(run, rows), _replaced_quarantine(run))
    for name, tally in tallies.items():
        _check_refused(run, name, tally)
    _write_entities(run, rows)
    _write_events(run, rows["events"], tallies["events"])


# Labelled rows: everything that came, with types, `reasons` and, for events, `duplicate`


def _entities(run: Run) -> dict[str, DataFrame]:
    source, rows = run.config.source, {}
    if source.items is not None:
        rows["items"] = parse_items(read_raw(run.spark, "items", source.items, run.start, run.end), source.items)
    if source.users is not None:
        rows["users"] = parse_users(read_raw(run.spark, "users", source.users, run.start, run.end), source.users)
    if source.tags is not None:
        raw = read_raw(run.spark, "tags", source.tags, run.start, run.end)
        rows["tags"] = parse_tags(raw, source.tags, rows["items"].where(is_accepted()))
    return rows


def _events(run: Run, entities: dict[str, DataFrame]) -> DataFrame:
    source, clean = run.config.source.events, run.config.clean
    raw = read_raw(run.spark, "events", source, run.start, run.end)
    parsed = parse_events(raw, source, clean.earliest, run.row.started_at)
    checked = with_checks(parsed, clean.checks, {name: rows.where(is_accepted()) for name, rows in entities.items()})
    if clean.bots_events_per_day is None:  # only a bot's rows are refused late; other good rows need no raw text
        checked = checked.withColumn("raw", F.when(~is_accepted(), F.col("raw")))
    by_user = checked.repartition("user_id")  # the one time that events move
    unique = with_duplicate(by_user, clean.duplicates)
    return with_date(with_tie_order(with_bots(unique, clean.bots_events_per_day)))


# Counts and limits


def _tally(run: Run, name: str, labelled: DataFrame) -> Tally:
    is_outside = F.lit(False)
    if run.start is not None and "date" in labelled.columns:
        is_outside = _is_outside(run)
    nothing = F.lit(None)
    groups = labelled.groupBy(
        is_outside.alias("outside"),
        "reasons",
        (F.col("duplicate") if "duplicate" in labelled.columns else nothing).alias("duplicate"),
        (F.col("warnings") if "warnings" in labelled.columns else nothing).alias("warnings"),
    ).count()
    tally = Tally()
    for outside, reasons, duplicate, warnings, count in groups.collect():
        if outside:
            tally.outside += count
            continue
        tally.rows += count
        tally.refused += count if reasons else 0
        tally.kept += 0 if reasons or duplicate else count
        tally.duplicates.update({duplicate: count} if duplicate else {})
        tally.reasons.update(dict.fromkeys(reasons, count))
        tally.warnings.update(dict.fromkeys(warnings or [], count))
    _record(run, name, tally)
    return tally


def _is_outside(run: Run) -> Column:
    """True: the row is of another day than the run's, or of none. Such rows of none count in a run over everything."""
    return ~F.expr(between("date", run.start, run.end))  # type: ignore[arg-type]


def _record(run: Run, name: str, tally: Tally) -> None:
    run.count(f"{name}_rows", tally.rows)
    if tally.outside:
        run.count(f"{name}_outside_dates", tally.outside)
    for prefix, numbers in (("duplicates", tally.duplicates), ("refused", tally.reasons), ("warned", tally.warnings)):
        for key, number in sorted(numbers.items()):
            run.count(f"{name}_{prefix}_{key}", number)
    run.log("counted", source=name, rows=tally.rows, kept=tally.kept, refused=tally.refused, reasons=dict(tally.reasons))


def _check_refused(run: Run, name: str, tally: Tally) -> None:
    found = f"Refused {tally.refused} of {tally.rows}: {dict(tally.reasons.most_common())}. See {run.path('quarantine')}."
    if tally.refused == tally.rows:
        raise ContractError(f"{name}: every row was refused. {found}")
    limit = run.config.clean.max_refused
    if tally.refused > limit * tally.rows:
        raise ContractError(f"{name}: at most {limit:.1%} of the rows may be refused (clean.max_refused). {found}")
    failed = {reason(c) for c in run.config.clean.checks if c.otherwise == "fail"} & tally.reasons.keys()
    if name == "events" and failed:
        raise ContractError(f"{name}: no row may break {', '.join(sorted(failed))} (clean.checks, otherwise: fail). {found}")
    _check_found(run, name, tally.kept, "only duplicates of rows of other dates")


def _check_found(run: Run, name: str, rows: int, instead: str) -> None:
    if not rows:
        days = f" from {run.start} to {run.end}" if run.start is not None and name == "events" else ""
        raise NoInputError(f"{name}: there must be rows{days}. Found {instead} in {getattr(run.config.source, name).path}.")


# Tables


def _quarantine(run: Run, rows: dict[str, DataFrame]) -> DataFrame:
    whole = quarantined(rows, run.run_id)
    return whole if run.start is None else whole.where(~_is_outside(run) | (F.col("date") == UNDATED))


def _replaced_quarantine(run: Run) -> str | None:
    """What has no date is found by every run that reads the file again, so it is replaced by each of them."""
    if run.start is None or run.end is None:
        return None
    return f"({between('date', run.start, run.end)}) OR ({equals(date=UNDATED)})"


def _write_entities(run: Run, rows: dict[str, DataFrame]) -> None:
    fitted = [
        _write_entity(run, "items", _tagged_items(rows), [r for r in run.config.clean.impute if r.column != "age"]),
        _write_entity(run, "users", _accepted(rows, "users"), [r for r in run.config.clean.impute if r.column == "age"]),
    ]
    statistics = [frame for frame in fitted if frame is not None]
    empty = run.spark.createDataFrame([], run.table("statistics").schema)
    own = f"({equals(owner='items')}) OR ({equals(owner='users')})"
    run.write("statistics", reduce(DataFrame.unionByName, statistics, empty).coalesce(1), own)


def _accepted(rows: dict[str, DataFrame], name: str) -> DataFrame | None:
    return rows[name].where(is_accepted()) if name in rows else None


def _tagged_items(rows: dict[str, DataFrame]) -> DataFrame | None:
    items, tags = _accepted(rows, "items"), _accepted(rows, "tags")
    return with_tags(items, tags) if items is not None and tags is not None else items


def _write_entity(run: Run, name: str, entities: DataFrame | None, rules: Sequence[Impute]) -> DataFrame | None:
    """Writes the table, empty where the source has no such file; returns the statistics that filled it."""
    if entities is None:
        run.write(name, run.spark.createDataFrame([], run.table(name).schema))
        return None
    filled, statistics = imputed(entities, rules, name)
    run.write(name, filled)
    flags = run.read(name).agg(*[F.count_if(f"{rule.column}_imputed").alias(rule.column) for rule in rules]) if rules else None
    for column, number in flags.head().asDict().items() if flags else ():  # type: ignore[union-attr]
        run.count(f"{name}_imputed_{column}", number)
    return statistics


def _write_events(run: Run, labelled: DataFrame, tally: Tally) -> None:
    kept = with_event_id(labelled.where(is_kept()), run.config.clean.duplicates.keys)
    where = None
    if run.start is not None and run.end is not None:
        where = between("date", run.start, run.end)
        kept = kept.where(where)
    written = run.write("events", kept.withColumn("month", month_of("date")), where)
    run.account(tally.rows, written, tally.duplicates.total(), tally.refused)


JOB = Job(
    "clean_events",
    build,
    writes=("quarantine", "items", "users", "statistics", "events"),
    sections=("source", "clean"),
    shared=("statistics",),
    reads_raw_files=True,
    description=__doc__.splitlines()[0],
)


def main(argv: Sequence[str] | None = None) -> int:
    return JOB.main(argv)


if __name__ == "__main__":
    sys.exit(main())
