"""Raw rows of each source, typed and with every reason to refuse them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from features.cleaning.caps import with_caps
from features.cleaning.carrying import with_carried_forward
from features.cleaning.check_config import Check
from features.cleaning.checks import with_checks, with_unique
from features.cleaning.columns import Table
from features.cleaning.config import CleanConfig
from features.cleaning.duplicates import is_accepted, is_kept, with_duplicate, with_event_id
from features.cleaning.entities import parse_items, parse_tags, parse_users, with_superseded
from features.cleaning.outliers import with_outliers
from features.cleaning.quarantine import with_date
from features.schema import month_of
from features.source.config import EventSource, FileSource
from features.source.events import parse_events, parsed_once, with_raw
from features.source.raw import SOURCE_ORDER
from features.source.reader import rows_to_read
from jobs.cleaning.statistics import Statistics
from jobs.runtime.run import Run
from jobs.runtime.sources import read_raw


@dataclass(frozen=True)
class LabelledEvents:
    """Every raw event stands in one of the two frames, `refused` or `compared`; all of them in `checked`."""

    places: DataFrame  # SOURCE_ORDER of each, told without parsing it
    checked: DataFrame  # each row by itself
    refused: DataFrame  # of these, the ones that are refused
    compared: DataFrame  # the others, beside each other: repetitions, caps, outliers
    refused_late: bool  # comparing may refuse rows too, so that `compared` is kept until the end of the run


def label_entities(run: Run, statistics: Statistics) -> dict[str, DataFrame]:
    """The sources of items, users and tags that there are; each is read once and kept until the end of the run."""
    source, clean, rows = run.config.source, run.config.clean, {}
    if source.items is not None:
        raw = _raw(run, "items", source.items)
        rows["items"] = _compared_entities(run, "items", parse_items(raw, source.items, clean.checks_of("items")), statistics)
    if source.users is not None:
        raw = _raw(run, "users", source.users)
        rows["users"] = _compared_entities(run, "users", parse_users(raw, source.users, clean.checks_of("users")), statistics)
    if source.tags is not None:
        raw = _raw(run, "tags", source.tags)
        rows["tags"] = parse_tags(raw, source.tags, rows["items"].where(is_kept())).persist(StorageLevel.MEMORY_AND_DISK)
    return rows


def _raw(run: Run, name: str, source: FileSource) -> DataFrame:
    return rows_to_read(read_raw(run.spark, name, source, run.dates), source)


def _compared_entities(run: Run, table: Table, parsed: DataFrame, statistics: Statistics) -> DataFrame:
    """One row per id. Bounds are fitted on the rows that stay so far, and known before it is decided which row stays."""
    clean, key, repeats = run.config.clean, f"{table.removesuffix('s')}_id", getattr(run.config.source, table).repeats
    rules, unique = clean.outliers_of(table), [check for check in clean.checks_of(table) if check.rule == "unique"]
    resolved = partial(with_superseded, key=key, late=[rule.reason for rule in rules], repeats=repeats)
    rows = parsed.persist(StorageLevel.MEMORY_AND_DISK) if rules else parsed
    if repeats == "last" and not rules and not unique:  # nothing is refused any more, and most rows may be repeats
        rows = rows.withColumn("raw", F.when(~is_accepted(), F.col("raw")))
    for rule in rules:
        rows = with_outliers(rows, rule, statistics.of(rule, resolved(rows).where(is_kept())))
    return with_unique(resolved(rows), unique).persist(StorageLevel.MEMORY_AND_DISK)


def label_events(run: Run, entities: dict[str, DataFrame], statistics: Statistics) -> LabelledEvents:
    source, clean = run.config.source.events, run.config.clean
    raw = _raw(run, "events", source)
    parsed = parse_events(raw, source, clean.earliest, run.row.started_at, clean.latest)
    known = {name: rows.where(is_kept()) for name, rows in entities.items()}
    checks = _event_checks(source, clean)
    late = _refuses_late(clean, checks)
    dated = with_date(with_checks(parsed, checks, known), source.late_days)
    checked = parsed_once(with_raw(dated, of_accepted=late).drop("file_day"))
    compared = _compared(_narrow(checked.where(is_accepted()), source, clean, late), clean, checks, statistics)
    if late:
        compared = compared.persist(StorageLevel.MEMORY_AND_DISK)
    return LabelledEvents(raw.select(*SOURCE_ORDER), checked, checked.where(~is_accepted()), compared, late)


def places_of(run: Run, rows: dict[str, DataFrame]) -> dict[str, DataFrame]:
    """Every row of the sources whose positions must be counted: Parquet tells the number of a row.

    Args:
        rows: by source, those that were read, without what `where` leaves out.
    """
    sources = {name: source for name, source in run.config.source.given.items() if source.format != "parquet"}
    whole = {
        name: read_raw(run.spark, name, source, run.dates) if source.where else rows[name] for name, source in sources.items()
    }
    return {name: frame.select(*SOURCE_ORDER) for name, frame in whole.items()}


def _event_checks(source: EventSource, clean: CleanConfig) -> list[Check]:
    """Those declared; an event_id of the source is unique also where nobody says so, since it stands for one event later on."""
    checks = clean.checks_of("events")
    if "event_id" not in source.columns or any((c.column, c.rule) == ("event_id", "unique") for c in checks):
        return checks
    return [*checks, Check(column="event_id", unique=True)]


def _refuses_late(clean: CleanConfig, checks: Sequence[Check]) -> bool:
    refusing = [o for o in clean.outliers_of("events") if o.then == "quarantine"]
    return bool(clean.caps or refusing or [c for c in checks if c.rule == "unique"])


def _narrow(accepted: DataFrame, source: EventSource, clean: CleanConfig, late: bool) -> DataFrame:
    """Without the columns that say the same of every row: the rows are about to be sent and sorted."""
    unmapped = {c for c in ("event_id", "value", "session_id") if c not in source.columns and c not in clean.duplicates.keys}
    marks = clean.outliers_of("events") or clean.imputed_of("events")
    return accepted.drop(*unmapped, *([] if source.context or marks else ["context"]), *([] if late else ["raw"]))


def _compared(accepted: DataFrame, clean: CleanConfig, checks: Sequence[Check], statistics: Statistics) -> DataFrame:
    by_user = accepted.repartition("user_id").withColumn("month", month_of("date"))  # the one time that events move
    events = with_unique(with_duplicate(by_user, clean.duplicates), checks)
    events = with_event_id(events, clean.duplicates.keys)  # of the keys as they came: `value` may be one, and change below
    for rule in clean.outliers_of("events"):
        events = with_outliers(events, rule, statistics.of(rule, events))
    return with_carried_forward(with_caps(events, clean.caps), clean.imputed_of("events"))
