"""Clean the raw logs: typed, checked, without duplicates; what is refused is kept with its reasons.

Reads   the raw files of `source`
        statistics  a run with dates reuses what an earlier one has fitted for the same declarations
Writes  quarantine  refused rows; a run with dates replaces those of its dates, and all that belong to no date
        items       the catalogue, whole
        users       the users, whole
        statistics  what missing content was filled with, and the bounds of outliers
        events      all of them, or those of the run's dates

Every raw row becomes an event, a duplicate or a refused row, and the ledger says how many of each. Quarantine is written
first, so that a run that ends with 3 leaves the rows to look at. The raw events are read twice, for quarantine and for
events, since to read them again is cheaper than to keep them; they are kept only where a declaration compares rows to refuse
them (caps, unique, outliers). But for Parquet, which numbers its rows, they are read once more, without being parsed, for the
positions in quarantine.

Each row belongs to one day, by which it is counted and written. Where a path holds {date}, a run reads the files of its days
and of `late_days` around them, which hold all that belongs to its days; the other rows in them are left to the runs over
theirs, and only compared with: a repeat is looked for among all rows that the run reads.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.cleaning.duplicates import is_kept, with_tie_order
from features.cleaning.entities import with_tags
from features.cleaning.imputation import imputed
from features.cleaning.quarantine import UNDATED, quarantined
from jobs.cleaning.first_rows import check_first_rows
from jobs.cleaning.labelling import LabelledEvents, label_entities, label_events, places_of
from jobs.cleaning.statistics import FITTED, Statistics
from jobs.cleaning.tally import Counting, Repetitions, Tally, check_found, check_kept, check_refused, count_imputed, inside
from jobs.runtime.job import Job
from jobs.runtime.run import Run
from jobs.runtime.warehouse import equals


def build(run: Run) -> None:
    check_first_rows(run)
    statistics = Statistics(run)
    entities = label_entities(run, statistics)
    events = label_events(run, entities, statistics)
    tallies = _write_quarantine(run, entities, events)
    for name, tally in tallies.items():
        check_found(run, name, tally)
    for name, tally in tallies.items():
        check_refused(run, name, tally)
    _write_entities(run, entities, statistics)
    statistics.write()
    _write_events(run, events, tallies["events"])


def _write_quarantine(run: Run, entities: dict[str, DataFrame], events: LabelledEvents) -> dict[str, Tally]:
    """Writes what is refused, and counts all that passes."""
    counting = {name: Counting(run, name) for name in ("events", *entities)}
    seen = {name: counting[name].watch(rows) for name, rows in entities.items()}
    if events.refused_late:
        early, late = (counting["events"].watch(rows) for rows in (events.refused, events.compared))
        seen["events"] = early.unionByName(late, allowMissingColumns=True)
    else:
        seen["events"] = counting["events"].watch(events.checked)
    whole = quarantined(seen, places_of(run, {**entities, "events": events.places}), run.run_id)
    run.write("quarantine", whole.where(inside(run) | (F.col("date") == UNDATED)), _replaced_quarantine(run))
    return {name: one.tally() for name, one in counting.items()}


def _replaced_quarantine(run: Run) -> str | None:
    """What has no date is found by every run that reads the file again, so it is replaced by each of them."""
    if run.dates is None:
        return None
    return f"({run.dates.predicate()}) OR ({equals(date=UNDATED)})"


def _write_entities(run: Run, rows: dict[str, DataFrame], statistics: Statistics) -> None:
    kept = {name: frame.where(is_kept()) for name, frame in rows.items()}
    if "tags" in kept:
        kept["items"] = with_tags(kept["items"], kept["tags"])
    for name in ("items", "users"):
        if name not in kept:
            run.write(name, run.spark.createDataFrame([], run.table(name).schema))
            continue
        rules = run.config.clean.imputed_of(name)
        run.write(name, imputed(kept[name], rules, statistics.of))
        count_imputed(run, name, [rule.column for rule in rules])


def _write_events(run: Run, labelled: LabelledEvents, tally: Tally) -> None:
    repetitions = Repetitions(run)
    kept = with_tie_order(repetitions.watch(labelled.compared).where(is_kept()))
    whole = _whole(run, kept).where(inside(run))
    where = None if run.dates is None else run.dates.predicate()
    written = run.write("events", whole, where)
    run.account(tally.rows, written, repetitions.record(), tally.refused)
    check_kept(run, written)


def _whole(run: Run, events: DataFrame) -> DataFrame:
    """The columns that the source does not give, and that were therefore left out on the way."""
    empty = {"context": F.create_map(), **dict.fromkeys(("value", "session_id"), F.lit(None))}
    types = {c.name: c.type for c in run.table("events").columns}
    return events.withColumns({c: v.cast(types[c]) for c, v in empty.items() if c not in events.columns})


JOB = Job(
    "clean_events",
    build,
    writes=("quarantine", "items", "users", "statistics", "events"),
    sections=("source", "clean"),
    shared={"statistics": FITTED},
    reads_raw_files=True,
    inspect=check_first_rows,
    description=__doc__.splitlines()[0],
)


def main(argv: Sequence[str] | None = None) -> int:
    return JOB.main(argv)


if __name__ == "__main__":
    sys.exit(main())
