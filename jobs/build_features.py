"""Build the tiles and the trailing features of users, items and categories.

Reads   events, items                    items for what events are about: categories, price, year
Writes  user_days, item_days             one row per key and day with events
        category_days, category_features where features.category declares something: of each category of an event's item
        user_features, item_features     one row per key and day with events, and one per key as of the day after the last

A run compares the events and items with those that the last good one read, builds the tiles of the days that differ, late
events and deleted ones among them, and the features that these tiles reach: those of the days up to the longest window
later. Nothing else is read or written. A run with dates builds the tiles of its own days, too, whatever they were, and has
rows as of the day after them as well. Where there was no such run, or the code is another, everything is built; other
declarations are for a run without dates. Either way the tables are those of a full build: counts to the bit, fractions up
to their rounding.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.errors import NoInputError
from features.layout import together
from features.trailing.as_of import features_as_of
from features.trailing.event_columns import CATEGORIES, ITEM_COLUMNS, columns_needed
from features.trailing.feature import longest_window
from features.trailing.leakage import check_features
from features.trailing.tiles import day_tiles
from features.trailing.windows import every_key, trailing_features
from jobs.runtime.changes import VacuumedError, changed_days, changed_groups, changed_rows
from jobs.runtime.days import DAY, Days
from jobs.runtime.job import Job
from jobs.runtime.ledger import Base
from jobs.runtime.run import Run
from jobs.runtime.side_by_side import side_by_side

_NO_DAYS = Days.of(())
_FEW_DAYS = 3  # of so many days and fewer, features are made key by key, and not by a pass over the tiles


@dataclass(frozen=True)
class Snapshot:
    """What the last run has left: a row of every key as of `day`, and tiles at `tiles_version`."""

    day: datetime.date
    tiles_version: int


@dataclass(frozen=True)
class Plan:
    """Which days of one entity's tables a run replaces. Where there is no plan, it replaces all.

    Attributes:
        kept: days of `features` whose rows stay, also of keys without a tile: a run with dates has asked for them.
        previous: None where the last run failed.
    """

    tiles: Days
    features: Days
    kept: Days = _NO_DAYS
    previous: Snapshot | None = None


def build(run: Run) -> None:
    if run.dates is not None:
        run.expect_same_declarations()
    own, newest, base = _own_days(run), _newest_day(run), run.base()
    changed = _changed_days(run, base)
    if changed is None:
        run.expect_all("events")
    elif base is not None and base.is_whole and not (own | changed | base.ends):
        run.keep()
        return
    stale = None if changed is None else own | changed
    side_by_side(run.spark, [partial(_build, run, entity, stale, base, newest) for entity in run.config.features.entities])


def _build(run: Run, entity: str, stale: Days | None, base: Base | None, newest: datetime.date) -> None:
    plan = _plan(run, entity, stale, base, newest)
    _write_tiles(run, entity, plan)
    _replace(run, f"{entity}_features", _features(run, entity, plan, newest), None if plan is None else plan.features)
    with run.step("leakage_guard", table=f"{entity}_features"):
        _guard(run, entity, plan)


# Which days


def _own_days(run: Run) -> Days:
    """The days of a run with dates.

    Raises:
        NoInputError: there are no events on them.
    """
    if run.dates is None:
        return _NO_DAYS
    days = Days.within(run.dates)
    if run.read("events").where(days.predicate()).isEmpty():
        raise NoInputError(f"events: none from {run.dates}. Clean the events of these days first.")
    return days


def _newest_day(run: Run) -> datetime.date:
    """The day as of which every key has a row after each run: the one after the last event, or after the days of the run.

    Raises:
        NoInputError: there is no event.
    """
    return max(run.last_day + DAY, run.as_of())


def _changed_days(run: Run, base: Base | None) -> Days | None:
    """The days whose tiles differ from what they were made from; None: nobody can tell."""
    if base is None:
        return None
    changed = _NO_DAYS
    try:
        for before in base.inputs:
            days = changed_days(run.warehouse, run.table("events"), before["events"], run.version("events"))
            changed |= Days.of(days) | _days_of_changed_items(run, before["items"])
    except VacuumedError as error:
        run.log("all_days", gone=str(error))
        return None
    return changed


def _days_of_changed_items(run: Run, before: int) -> Days:
    """The days with events of items whose content, as far as features are about it, differs from that at version `before`."""
    features = run.config.features
    needed = {c for entity in features.entities for c in columns_needed(features.of(entity))}
    needed |= {CATEGORIES} if features.category else set()
    content = [column for name, column in ITEM_COLUMNS.items() if name in needed]
    rows = changed_rows(run.warehouse, run.table("items"), before, run.version("items")) if content else None
    if rows is None:
        return _NO_DAYS
    items = changed_groups(rows, "item_id", content).persist()
    if items.isEmpty():  # as on most days, though the catalogue is written anew: no reason to read the events of years
        return _NO_DAYS
    days = run.read("events").join(items, "item_id", "left_semi").select("date").distinct()
    return Days.of(row["date"] for row in days.collect())


def _plan(run: Run, entity: str, stale: Days | None, base: Base | None, newest: datetime.date) -> Plan | None:
    if stale is None or base is None:
        return None
    declared = run.config.features.of(entity)
    tiles = stale | stale.later(1) if "sessions" in columns_needed(declared) else stale
    # The last day is that as of which the run before has made every key: its rows make way for those of this run, as do
    # those that runs with dates have asked for, once there is one without.
    last: datetime.date | None = run.newest(f"{entity}_features").agg(F.max("date")).head()[0]  # type: ignore[index]
    snapshots = Days.of(day for day in (last, run.as_of(), newest) if day is not None)
    features = tiles | tiles.later(longest_window(declared)) | snapshots
    previous = Snapshot(last, base.outputs[f"{entity}_days"]) if base.is_whole and last is not None else None
    if run.dates is None:
        return Plan(tiles, features | base.ends.later(1), previous=previous)
    return Plan(tiles, features, features - tiles - snapshots, previous)


# Tables


def _replace(run: Run, name: str, rows: DataFrame, days: Days | None) -> None:
    """Writes the rows of these days in place of those that are there; None: all."""
    where = None if days is None else days.predicate()
    of_days = rows if where is None else rows.where(where)
    run.count(name, run.write(name, together(of_days, "month", *run.table(name).keys), where))


def _write_tiles(run: Run, entity: str, plan: Plan | None) -> None:
    events = run.read("events")
    if plan is not None:
        events = events.where((plan.tiles | plan.tiles.earlier(1)).predicate())  # the day before: a session may go on
    tiles = day_tiles(events, run.read("items"), entity, run.config.features)
    _replace(run, f"{entity}_days", tiles, None if plan is None else plan.tiles)


def _features(run: Run, entity: str, plan: Plan | None, newest: datetime.date) -> DataFrame:
    declared, tiles, spine = run.config.features.of(entity), run.read(f"{entity}_days"), _spine(run, entity, plan, newest)
    if plan is None:
        return trailing_features(tiles, spine, entity, declared)
    reached = tiles.where((plan.features | plan.features.earlier(longest_window(declared))).predicate())
    if sum(day <= run.last_day for day in plan.features) < _FEW_DAYS:  # and the day as of which every key is asked for
        own_days = reached.where(plan.features.predicate()).select(f"{entity}_id", "date")
        return features_as_of(reached, spine.unionByName(own_days).distinct(), entity, declared)
    return trailing_features(reached, spine, entity, declared)


def _spine(run: Run, entity: str, plan: Plan | None, newest: datetime.date) -> DataFrame:
    """Keys and days that have a row whether or not they have a tile."""
    own, spine = run.as_of(), every_key(_all_keys(run, entity, plan), entity, newest)
    if own < newest:
        before = run.read(f"{entity}_days").where(F.col("date") < F.lit(own))
        spine = spine.unionByName(every_key(before, entity, own))
    if plan is not None and plan.kept:
        kept = run.newest(f"{entity}_features").where(plan.kept.predicate())
        spine = spine.unionByName(kept.select(f"{entity}_id", "date"))
    return spine


def _all_keys(run: Run, entity: str, plan: Plan | None) -> DataFrame:
    """Every key that has a tile, once or more.

    Where the run before has asked for every key, only the days that changed since can add one or take one away, and those
    that lost their tile of such a day are looked for on all days; so the tiles of years are not read for one day more.
    """
    key, table = f"{entity}_id", f"{entity}_days"
    tiles = run.read(table)
    if plan is None or plan.previous is None:
        return tiles
    previous = plan.previous
    now = tiles.where(plan.tiles.predicate()).select(key)
    known = run.newest(f"{entity}_features").where(F.col("date") == F.lit(previous.day)).select(key)
    known_days = Days.of(day for day in plan.tiles if day < previous.day)  # on the others there was no tile to lose
    if known_days:
        before = run.warehouse.read(run.table(table), previous.tiles_version).where(known_days.predicate()).select(key)
        lost = before.join(now, key, "left_anti").distinct()
        if not lost.isEmpty():
            known = known.join(lost, key, "left_anti").union(tiles.select(key).join(lost, key, "left_semi"))
    return known.union(now)


def _guard(run: Run, entity: str, plan: Plan | None) -> None:
    declared, events, rows = run.config.features.of(entity), run.read("events"), run.read(f"{entity}_features")
    if plan is not None:
        days = longest_window(declared) + 1  # and one for the session before
        rows = rows.where(plan.features.predicate())
        events = events.where((plan.features | plan.features.earlier(days)).predicate())
    check_features(rows, events, run.read("items"), entity, run.config.features)


JOB = Job(
    "build_features",
    build,
    reads=("events", "items"),
    writes=("user_days", "item_days", "category_days", "user_features", "item_features", "category_features"),
    sections=("features",),
    ignored=("features.selection", "features.drift"),
    description="Tiles and trailing features of users, items and categories.",
)


def main(argv: Sequence[str] | None = None) -> int:
    return JOB.main(argv)


if __name__ == "__main__":
    sys.exit(main())
