"""The leakage guard of features: a sample is made again from events whose future was altered, and must be the same.

It does not trust the code that built the rows, and raises LeakageError on its first finding, naming table, column, key and
day. That of sequences is features/sequences/leakage.py.
"""

from __future__ import annotations

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.errors import LeakageError
from features.trailing.as_of import features_as_of
from features.trailing.config import FeaturesConfig
from features.trailing.event_columns import columns_needed, with_event_columns, with_key
from features.trailing.feature import Feature, longest_window, windows_of
from features.trailing.operations import CONTEXT, column_name
from features.trailing.tiles import tiles_of

_SAMPLE = 200  # rows of a feature table that are counted again
_ROW_DATE, _CANARY = "row_date", 1e12


def check_features(features: DataFrame, events: DataFrame, items: DataFrame, entity: str, config: FeaturesConfig) -> None:
    """Feature rows hold the whole days before their own day and nothing else: a sample is made again from the events.

    Args:
        features: rows of {entity}_features.
        events: all events that the windows of `features` reach, and later ones.
        items: the catalogue.
    Raises:
        LeakageError: a row holds something else than the days before it.
    """
    key, declared = f"{entity}_id", config.of(entity)
    windows = windows_of(declared)
    if not windows:
        return
    sample = features.select(key, "date", *windows).orderBy(F.xxhash64(key, "date"), key, "date").limit(_SAMPLE)
    sample = sample.localCheckpoint(storageLevel=StorageLevel.MEMORY_AND_DISK_2)  # once, and not for each of its uses
    again = _recounted(sample.select(key, "date"), events, items, entity, config)
    both = sample.join(again, [key, "date"])
    wrong = both.select(
        key, "date", F.array_compact(F.array(*[_differs(n, f) for n, (f, _) in windows.items()])).alias("wrong")
    )
    row = wrong.where(F.size("wrong") > 0).orderBy(key, "date").head()
    if row is not None:
        column, stored, counted_again = row["wrong"][0]
        raise LeakageError(
            f"{entity}_features: {column} must hold whole days before date alone. "
            f"{key}={row[key]} at {row['date']} holds {stored}, the days before hold {counted_again}."
        )


def _recounted(sample: DataFrame, events: DataFrame, items: DataFrame, entity: str, config: FeaturesConfig) -> DataFrame:
    """The sample's keys and dates with each feature, named NAME_again, each from a copy of its key's events.

    In the copy, what only the future knows is a canary: events of the row's own day and later have another value, item or
    user, type, session and context, and one more is put at the start of the row's day. A feature that sees it is another
    feature.
    """
    key, declared = f"{entity}_id", config.of(entity)
    names = windows_of(declared)
    rows = sample.select(key, F.col("date").alias(_ROW_DATE))
    row = F.concat_ws("|", key, _ROW_DATE)  # each row of the sample is a key of its own
    days = longest_window(declared) + 1  # and one for the session before
    needed = columns_needed(declared)
    copies = _with_canaries(with_key(events, items, entity), rows, key, days, needed)
    if entity != "item":
        copies = copies.withColumn(key, row)
    columns = with_event_columns(copies, items, needed, config)
    if entity == "item":  # only now, as it was needed to find the item
        columns = columns.withColumn(key, row)
    spine = rows.select(row.alias(key), F.col(_ROW_DATE).alias("date"), F.col(key).alias("own_key"))
    again = features_as_of(tiles_of(columns, (key, "date"), declared), spine, entity, declared)
    found = again.join(F.broadcast(spine), [key, "date"]).select("own_key", "date", *names)
    return found.select(F.col("own_key").alias(key), "date", *[F.col(name).alias(f"{name}_again") for name in names])


def _with_canaries(events: DataFrame, rows: DataFrame, key: str, reach: int, needed: set[str]) -> DataFrame:
    """For each of `rows` the events of its key from `reach` days before it to the day itself, and one more; see _recounted."""
    day = F.col("date")
    near = (day >= F.date_sub(_ROW_DATE, reach)) & (day <= F.col(_ROW_DATE))
    own = events.join(F.broadcast(rows), key).where(near)
    more = rows.withColumns({"date": F.col(_ROW_DATE), "event_time": F.col(_ROW_DATE).cast("timestamp"), "event_id": F.lit("")})
    copies = own.unionByName(more, allowMissingColumns=True)
    canaries = {column: F.lit("canary") for column in {"user_id", "item_id", "event_type", "session_id"} - {key}}
    canaries["value"] = F.lit(_CANARY)
    context = [F.lit(text) for c in sorted(needed) if c.startswith(CONTEXT) for text in (column_name(c), str(_CANARY))]
    if context:
        canaries["context"] = F.create_map(*context)  # a canary as a number and as a label
    future = day >= F.col(_ROW_DATE)
    return copies.withColumns({name: F.when(future, c).otherwise(F.col(name)) for name, c in canaries.items()})


def _differs(name: str, feature: Feature) -> Column:
    """(name, stored, counted again), as text, where the two differ, else null."""
    stored, again = F.col(name), F.col(f"{name}_again")
    if feature.is_number:
        near = F.abs(stored - again) <= feature.op.tolerance * F.greatest(F.abs(again).cast("double"), F.lit(1.0))
        same = F.coalesce(near, stored.isNull() & again.isNull())
    else:
        whole = feature.type == "string"
        stored, again = (stored, again) if whole else (F.to_json(stored), F.to_json(again))
        same = stored.eqNullSafe(again)
    finding = F.struct(F.lit(name).alias("column"), stored.cast("string").alias("stored"), again.cast("string").alias("again"))
    return F.when(~same, finding)
