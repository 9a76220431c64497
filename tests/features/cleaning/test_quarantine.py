from __future__ import annotations

import datetime

from pyspark.sql import functions as F

from features.cleaning.quarantine import UNDATED, quarantined, with_date
from tests.features.raw import event_frame


def test_positions_are_row_numbers_of_the_file_however_it_was_split(spark):
    # file a was read in two blocks by two tasks, b by the second of them: `row` counts per task, from its own start
    places = [("a", 0, 0), ("a", 0, 1), ("a", 700, 8_000_000_000), ("a", 700, 8_000_000_001), ("b", 0, 8_000_000_002)]
    rows = spark.createDataFrame(places, "file string, block bigint, row bigint")
    rows = rows.withColumns(
        {"raw": F.lit("x"), "reasons": F.when(F.col("row") != 0, F.array(F.lit("bot"))).otherwise(F.array())}
    )
    found = quarantined({"events": rows}, {"events": rows}, "run").orderBy("file", "position").collect()
    assert [(r.file, r.position) for r in found] == [("a", 1), ("a", 2), ("a", 3), ("b", 0)]
    assert {r.date for r in found} == {UNDATED}


def test_a_refused_row_has_the_day_of_its_event_where_that_can_be_believed(spark):
    unbelievable = ("event_time_early", "event_time_late", "event_time_future", "line_broken")
    rows = [{}] + [{"reasons": [r]} for r in ("bot", *unbelievable)]
    events = event_frame(spark, rows)
    day = datetime.date(2024, 5, 1)
    assert [r.date for r in with_date(events).orderBy("row").collect()] == [day, day, *[UNDATED] * 4]


def test_an_event_too_far_from_its_files_day_is_refused_under_that_day(spark):
    rows = [{"reasons": r, "second": 86_400 * days} for r in ([], ["bot"], ["event_time_future"]) for days in (0, 2, -2, 3, -3)]
    events = event_frame(spark, [*rows, {"reasons": ["event_time_missing"]}])
    of_files = events.withColumns(
        {
            "file_day": F.lit(datetime.date(2024, 5, 1)),
            "event_time": F.when(~F.array_contains("reasons", "event_time_missing"), F.col("event_time")),
        }
    )
    found = [(r.date.isoformat(), r.reasons) for r in with_date(of_files, late_days=2).orderBy("row").collect()]
    near = ["2024-05-01", "2024-05-03", "2024-04-29"]
    assert found == [
        *[(day, []) for day in near],
        *[("2024-05-01", ["outside_dates"])] * 2,
        *[(day, ["bot"]) for day in near],
        *[("2024-05-01", ["bot", "outside_dates"])] * 2,
        *[(day, ["event_time_future"]) for day in near],  # its day is the same once the time has come
        *[("2024-05-01", ["event_time_future"])] * 2,
        ("2024-05-01", ["event_time_missing"]),
    ]
