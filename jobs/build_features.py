"""Build the tiles and the trailing features of users and items.

Reads   events, items                    items for the categories that events are about
Writes  user_days, item_days             one row per key and day with events: replaced whole, or for the days of the run
        user_features, item_features     one row per key and day with events, and one per key as of the day after the run:
                                         replaced whole, or for the days of the run and the day after it

A run over days reads tiles back only as far as the longest window. Rows of later days that are already there are not
touched: a backfill that changes old days is followed by a run over the days after them.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.errors import NoInputError
from features.features_config import Feature
from features.layout import together
from features.leakage import check_features
from features.tiles import day_tiles
from features.windows import longest_window, trailing_features
from jobs.runtime.job import Job, Run
from jobs.runtime.warehouse import between


def build(run: Run) -> None:
    events, items, as_of = run.read("events"), run.read("items"), run.as_of()
    days = events if run.start is None or run.end is None else events.where(between("date", run.start, run.end))
    if days.isEmpty():
        raise NoInputError(f"events: none between {run.start} and {run.end}. Clean the events of these days first.")
    declared = {"user": run.config.features.user, "item": run.config.features.item}
    for entity, features in declared.items():
        tiles = day_tiles(days, items, entity, features)
        run.count(f"{entity}_days", run.write(f"{entity}_days", together(tiles, "month"), _days(run, run.end)))
        rows = _features(run, entity, features, as_of)
        run.count(f"{entity}_features", run.write(f"{entity}_features", together(rows, "month"), _days(run, as_of)))
        with run.step("leakage_guard", table=f"{entity}_features"):
            written = run.read(f"{entity}_features").where(_days(run, as_of) or "true")
            check_features(written, events, entity, features)


def _days(run: Run, end: datetime.date | None) -> str | None:
    """Predicate of the rows that this run replaces; None: all."""
    return between("date", run.start, end) if run.start and end else None


def _since(df: DataFrame, day: datetime.date | None) -> DataFrame:
    return df if day is None else df.where(F.col("date") >= F.lit(day))


def _features(run: Run, entity: str, features: tuple[Feature, ...], as_of: datetime.date) -> DataFrame:
    tiles = run.read(f"{entity}_days").where(F.col("date") <= F.lit(as_of))
    keys = tiles.select(f"{entity}_id").distinct()
    oldest = run.start and run.start - datetime.timedelta(days=longest_window(features))
    return _since(trailing_features(_since(tiles, oldest), keys, entity, features, as_of), run.start)


JOB = Job(
    "build_features",
    build,
    reads=("events", "items"),
    writes=("user_days", "item_days", "user_features", "item_features"),
    sections=("features",),
    description="Tiles and trailing features of users and items.",
)


def main(argv: Sequence[str] | None = None) -> int:
    return JOB.main(argv)


if __name__ == "__main__":
    sys.exit(main())
