"""The first rows of each source, looked at before anything is written: a wrong unit, format or column shows in all of them."""

from __future__ import annotations

import datetime
from collections import Counter

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.cleaning.config import CleanConfig
from features.cleaning.entities import parse_items, parse_tags, parse_users
from features.errors import ContractError
from features.source.config import EventSource, FileSource, ItemSource, TagSource, UserSource
from features.source.events import parse_events
from features.source.raw import raw_text
from features.source.reader import Reader
from features.source.values import likely_unit
from jobs.cleaning.tally import example_of, ways_out
from jobs.runtime.raw_files import DATE
from jobs.runtime.run import Run
from jobs.runtime.sources import keys_not_found, read_raw

FIRST_ROWS = 1_000


def check_first_rows(run: Run) -> None:
    """The log tells which mapped keys none of the first lines of JSON has.

    Only how rows are written counts, as rows that `clean` or `event_types` leave out may well stand together. In a run with
    dates the first events may be of any day where no {date} in the path tells it, so they are not looked at; where it does,
    they are those of the run's own files. Nor is a source with `where`, whose rows may stand anywhere in it.

    Raises:
        ContractError: not one row of a source is written as declared.
    """
    for name, given in run.config.source.given.items():
        source = given.model_copy(update={"late_days": 0}) if isinstance(given, EventSource) else given
        if source.format == "json" and (missing := keys_not_found(run.spark, source, run.dates)):
            run.log("keys_not_found", source=name, **missing)
        if not source.where and (name != "events" or run.dates is None or DATE in source.path):
            _check(run, name, source)


def _check(run: Run, name: str, source: FileSource) -> None:
    earliest = min(_EARLIEST, run.config.clean.earliest)
    parsed = _parsed(read_raw(run.spark, name, source, run.dates), source, earliest, run.row.started_at)
    rows = parsed.take(FIRST_ROWS)
    if not rows or not all(row["reasons"] for row in rows):
        return
    if parsed.where(F.size("reasons") == 0).take(1):  # bad rows may stand together, as those of one user or of one file
        return
    reasons = Counter(reason for row in rows for reason in row["reasons"])
    examples = {reason: next(row["raw"] for row in rows if reason in row["reasons"]) for reason, _ in reasons.most_common()}
    told = [example_of(reason, text) for reason, text in examples.items()] + ways_out(name, reasons)
    if isinstance(source, EventSource):
        times = [row["time"] for row in rows if row["time"] is not None and set(row["reasons"]) & _OF_TIME]
        told += _other_unit(times, source.time.unit, earliest, run.row.started_at)
    raise ContractError(
        f"{name}: rows must be as source.{name} declares. Not one in {source.path} is. The first {len(rows):,}: "
        f"{dict(reasons.most_common())}. {' '.join(told)}"
    )


_OF_TIME = {"event_time_malformed", "event_time_early", "event_time_future"}
_EARLIEST: datetime.date = CleanConfig().earliest  # before it, a time is of another unit, unless clean.earliest is earlier


def _parsed(raw: DataFrame, source: FileSource, earliest: datetime.date, now: datetime.datetime) -> DataFrame:
    """Each row's `reasons` and `raw`; of events `time`, too, the text of event_time, null where the source types it."""
    if isinstance(source, EventSource):
        parsed = parse_events(raw, source.model_copy(update={"event_types": None}), earliest, now)
        time = Reader(raw, source.columns, source.missing).untyped_text("event_time")
        return parsed.select("reasons", raw_text().alias("raw"), time.alias("time"))
    if isinstance(source, ItemSource):
        return parse_items(raw, source).select("reasons", "raw")
    if isinstance(source, UserSource):
        return parse_users(raw, source).select("reasons", "raw")
    assert isinstance(source, TagSource)  # noqa: S101  # there are four
    return parse_tags(raw, source).select("reasons", "raw")


def _other_unit(times: list[str], declared: str, earliest: datetime.date, now: datetime.datetime) -> list[str]:
    """A question, where all of the times would be plausible in another unit than the declared one."""
    units = {likely_unit(time, earliest, now) for time in times}
    unit = units.pop() if len(units) == 1 else None
    return [] if unit in (None, declared) else [f"time.unit: {unit}?"]
