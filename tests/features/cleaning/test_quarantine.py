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
    day, file_day = datetime.date(2024, 5, 1), datetime.date(2024, 5, 7)
    assert [r.date for r in with_date(events).orderBy("row").collect()] == [day, day, *[UNDATED] * 4]
    dated = with_date(events.withColumn("file_day", F.lit(file_day))).orderBy("row").collect()
    assert [r.date for r in dated] == [day, day, *[file_day] * 4]
