#!/usr/bin/env python3
"""The tables of bench_features.py's scenario, as a polars script makes them: scripts/bench_features_polars.py RAW OUT."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import polars as pl

EARLIEST = datetime.datetime(1990, 1, 1, tzinfo=datetime.UTC)
KEYS = ["user_id", "item_id", "event_type", "event_time"]
RAW = ["user", "item", "action", "rating", "at"]


def clean(raw: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events and refused rows. polars has no MD5: an event's id is a hash of polars's own, and so another one."""
    found = pl.scan_parquet(f"{raw}/*.parquet", include_file_paths="file").with_row_index("row")
    rows = found.with_columns(
        pl.col("user").alias("user_id"), pl.col("item").alias("item_id"), pl.col("action").alias("event_type"),
        pl.col("rating").alias("value"), pl.from_epoch("at", "us").dt.replace_time_zone("UTC").alias("event_time"),
    )  # fmt: skip
    rules = {
        "user_id_missing": pl.col("user_id").is_null(),
        "item_id_missing": pl.col("item_id").is_null(),
        "event_time_out_of_range": ~pl.col("event_time").is_between(EARLIEST, datetime.datetime.now(datetime.UTC)),
        "value_out_of_range": ~pl.col("value").is_between(0.5, 5),
    }
    reasons = pl.concat_list([pl.when(broken).then(pl.lit(name)) for name, broken in rules.items()]).list.drop_nulls()
    checked = rows.with_columns(reasons.alias("reasons")).collect()
    good, date = pl.col("reasons").list.len() == 0, pl.col("event_time").dt.date()
    kept = checked.filter(good).select("row", *KEYS, "value").unique(KEYS, keep="last")
    events = kept.with_columns(
        pl.struct(KEYS).hash().alias("event_id"),
        pl.int_range(pl.len()).over("user_id", "event_time", order_by="row").alias("tie_order"),
        date.alias("date"),
        date.dt.strftime("%Y-%m").alias("month"),
    )
    refused = checked.filter(~good).select("file", "row", pl.struct(RAW).struct.json_encode().alias("raw"), "reasons", date)
    return events.drop("row"), refused


def tiles(events: pl.DataFrame, key: str) -> pl.DataFrame:
    return events.group_by(key, "date").agg(
        pl.len().cast(pl.Int64).alias("events"),
        pl.col("value").sum().alias("value_sum"),
        pl.col("value").count().cast(pl.Int64).alias("value_count"),
    )


def features(days: pl.DataFrame, key: str) -> pl.DataFrame:
    as_of = days["date"].max() + datetime.timedelta(days=1)  # type: ignore[operator]
    rows = pl.concat([days, days.select(key).unique().with_columns(pl.lit(as_of).alias("date"))], how="diagonal")
    rows = rows.sort(key, "date")
    made = rows.select(key, "date")
    for window in (7, 30, 90):
        past = {"index_column": "date", "period": f"{window}d", "closed": "left", "group_by": key}
        sums = [pl.col("events").sum().alias(f"events_count_{window}d")]
        if window == 90:
            sums.append((pl.col("value_sum").sum() / pl.col("value_count").sum()).alias("value_mean_90d"))
        rolled = rows.rolling(**past).agg(sums)  # type: ignore[arg-type]
        made = made.join(rolled, on=[key, "date"])
    mean = pl.col("value_mean_90d")
    return made.with_columns(pl.when(mean.is_not_nan()).then(mean).alias("value_mean_90d"))


def main(raw: Path, out: Path) -> None:
    out.mkdir(parents=True)
    events, refused = clean(raw)
    events.write_parquet(out / "events.parquet")
    refused.write_parquet(out / "quarantine.parquet")
    for entity in ("user", "item"):
        days = tiles(events, f"{entity}_id")
        days.write_parquet(out / f"{entity}_days.parquet")
        features(days, f"{entity}_id").write_parquet(out / f"{entity}_features.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
