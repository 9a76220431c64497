from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from features.source.config import EventSource, Mapping, Time
from features.source.events import parse_events, with_raw
from features.source.reader import Reader, rows_to_read
from features.source.values import likely_unit
from tests.features.raw import EARLIEST, NOW, UTC, raw_frame

COLUMNS = {"user_id": "u", "item_id": "i", "event_type": "a", "value": "v", "event_time": "t"}
FIELDS = "u string, i string, a string, v string, t string, c string"
GOOD = ("u1", "i1", "view", "4.5", "1714564800", "web")  # 2024-05-01 12:00:00 UTC


def source(**more: object) -> EventSource:
    return EventSource.model_validate({"path": "x", "columns": COLUMNS, **more})


def times(spark: SparkSession, texts: list[str | None], time: Time, type_: str = "string") -> list[datetime.datetime | None]:
    raw = raw_frame(spark, f"t {type_}", [(t,) for t in texts])
    read = Reader(raw, {"event_time": Mapping.model_validate("t")}).time("event_time", time)
    micros = raw.select("row", F.unix_micros(read).alias("at")).orderBy("row").collect()
    start = datetime.datetime(1970, 1, 1, tzinfo=UTC)
    return [None if r["at"] is None else start + datetime.timedelta(microseconds=r["at"]) for r in micros]


def test_a_good_row_becomes_a_typed_event(spark):
    row = parse_events(raw_frame(spark, FIELDS, [GOOD]), source(context=["c"]), EARLIEST, NOW).head()
    assert (row.user_id, row.item_id, row.event_type, row.value) == ("u1", "i1", "view", 4.5)
    assert row.event_time.astimezone(UTC) == datetime.datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert (row.context, row.session_id, row.event_id, row.reasons) == ({"c": "web"}, None, None, [])


def test_a_refused_row_names_every_rule_that_it_broke(spark):
    u, i, a, v, t, c = GOOD
    rows_and_reasons = [
        (GOOD, []),
        ((" ", i, a, v, t, c), ["user_id_missing"]),
        ((u, None, a, v, t, c), ["item_id_missing"]),
        ((u, i, "", v, t, c), ["event_type_missing"]),
        ((u, i, "veiw", v, t, c), ["event_type_unknown"]),
        ((u, i, a, v, None, c), ["event_time_missing"]),
        ((u, i, a, v, "noon", c), ["event_time_malformed"]),
        ((u, i, a, v, "631151999", c), ["event_time_early"]),  # 1989-12-31 23:59:59
        ((u, i, a, v, "631152000", c), []),
        ((u, i, a, v, "1717200001", c), ["event_time_future"]),  # a second after NOW
        ((u, i, a, v, "1717200000", c), []),
        ((u, i, a, v, "1714564800000", c), ["event_time_malformed"]),  # milliseconds: the year 56,302
        ((u, i, a, "", t, c), []),
        ((u, i, a, "four", t, c), ["value_malformed"]),
        ((u, i, a, "NaN", t, c), ["value_malformed"]),
        ((u, i, a, "1d", t, c), ["value_malformed"]),
        ((u, i, a, "1e999", t, c), ["value_malformed"]),
        ((u, i, a, v, t, "caf\ufffd"), ["encoding_broken"]),
        (("", i, a, "x", "y", c), ["user_id_missing", "event_time_malformed", "value_malformed"]),
        ((None, None, None, None, None, None), ["line_broken"]),
    ]
    raw = raw_frame(spark, FIELDS, [r for r, _ in rows_and_reasons], broken=[len(rows_and_reasons) - 1])
    events = parse_events(raw, source(event_types=["view", "buy"]), EARLIEST, NOW)
    parsed = with_raw(events, of_accepted=True).orderBy("row").collect()
    assert [r.reasons for r in parsed] == [reasons for _, reasons in rows_and_reasons]
    assert parsed[-1].raw == "a line"
    assert parsed[0].raw == '{"u":"u1","i":"i1","a":"view","v":"4.5","t":"1714564800","c":"web"}'


def test_an_event_after_the_latest_day_is_refused(spark):
    u, i, a, v, _, c = GOOD
    raw = raw_frame(spark, FIELDS, [(u, i, a, v, second, c) for second in ("1714607999", "1714608000", "1717200001")])
    parsed = parse_events(raw, source(), EARLIEST, NOW, latest=datetime.date(2024, 5, 1)).orderBy("row").collect()
    assert [r.reasons for r in parsed] == [[], ["event_time_late"], ["event_time_future", "event_time_late"]]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("1714564800", "s"),
        ("1714564800.5", "s"),
        ("1714564800250", "ms"),
        ("1.714564800250000e15", "us"),
        ("2024-05-01", "text"),
        ("17", None),
        ("1e999", None),
    ],
)
def test_the_unit_of_a_time_is_the_one_by_which_it_is_of_our_days(text, unit):
    assert likely_unit(text, EARLIEST, NOW) == unit


@pytest.mark.parametrize(("unit", "text"), [("s", "1714564800.25"), ("ms", "1714564800250"), ("us", "1714564800250000")])
def test_epoch_times_are_exact_to_the_microsecond(spark, unit, text):
    assert times(spark, [text], Time(unit=unit)) == [datetime.datetime(2024, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)]


def test_numbers_beyond_the_range_of_dates_are_malformed_instead_of_an_overflow(spark):
    assert times(spark, ["1e30", "-1e30", "9" * 40, "0x10", ""], Time(unit="s")) == [None] * 5


def test_local_times_follow_the_zone_and_its_daylight_saving(spark):
    berlin = ZoneInfo("Europe/Berlin")
    texts = ["2024-01-15T08:00:00", "2024-07-15 08:00:00,5", "2024-07-15", "2024-07-15 8:00:00", "2024-07-15T8:0"]
    expected = [
        datetime.datetime(2024, 1, 15, 8, tzinfo=berlin),
        datetime.datetime(2024, 7, 15, 8, 0, 0, 500_000, tzinfo=berlin),
        datetime.datetime(2024, 7, 15, tzinfo=berlin),
        *[datetime.datetime(2024, 7, 15, 8, tzinfo=berlin)] * 2,
    ]
    assert times(spark, texts, Time(unit="text", zone="Europe/Berlin")) == expected


def test_a_skipped_hour_moves_on_and_a_doubled_hour_is_the_first(spark):
    skipped, doubled = times(spark, ["2024-03-31 02:30:00", "2024-10-27 02:30:00"], Time(unit="text", zone="Europe/Berlin"))
    assert skipped == datetime.datetime(2024, 3, 31, 1, 30, tzinfo=UTC)  # 03:30 summer time
    assert doubled == datetime.datetime(2024, 10, 27, 0, 30, tzinfo=UTC)  # 02:30 summer time


def test_a_text_with_an_offset_or_a_zone_does_not_follow_the_declared_zone(spark):
    texts = ["2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00", "2024-05-01 21:00:00 Asia/Tokyo", "2024-05-01 9:00:00-3:00"]
    assert times(spark, texts, Time(unit="text", zone="Europe/Berlin")) == [datetime.datetime(2024, 5, 1, 12, tzinfo=UTC)] * 4


def test_texts_that_are_no_date_are_malformed(spark):
    assert times(spark, ["12:30:00", "2024", "2024-13-01", "2024-02-30 10:00:00", "soon"], Time(unit="text")) == [None] * 5


def test_a_declared_pattern_is_followed_with_and_without_an_offset_in_it(spark):
    local = Time(unit="text", zone="Europe/Berlin", format="dd/MM/yyyy HH:mm")
    assert times(spark, ["01/05/2024 14:00", "2024-05-01"], local) == [datetime.datetime(2024, 5, 1, 12, tzinfo=UTC), None]
    offset = Time(unit="text", zone="Europe/Berlin", format="dd/MM/yyyy HH:mm Z")
    assert times(spark, ["01/05/2024 14:00 +0100"], offset) == [datetime.datetime(2024, 5, 1, 13, tzinfo=UTC)]


def test_an_order_becomes_made_up_times_a_step_apart(spark):
    made_up = times(spark, [0, 2, None], Time(unit="order", start="2001-01-01", step_seconds=60), type_="int")
    assert made_up == [datetime.datetime(2001, 1, 1, tzinfo=UTC), datetime.datetime(2001, 1, 1, 0, 2, tzinfo=UTC), None]


def test_typed_times_are_instants_and_typed_local_times_follow_the_zone(spark):
    noon = datetime.datetime(2024, 5, 1, 12)
    zone = Time(unit="text", zone="Europe/Berlin")
    assert times(spark, [noon.replace(tzinfo=UTC)], zone, type_="timestamp") == [noon.replace(tzinfo=UTC)]
    assert times(spark, [noon], zone, type_="timestamp_ntz") == [noon.replace(tzinfo=ZoneInfo("Europe/Berlin"))]
    assert times(spark, [noon.date()], zone, type_="date") == [datetime.datetime(2024, 4, 30, 22, tzinfo=UTC)]


def test_lists_come_from_separators_indicators_json_and_arrays(spark):
    raw = raw_frame(
        spark,
        "bars string, drama string, `sci fi` int, json string, typed array<string>",
        [("a | b||a", "1", 0, '["x","y"]', ["p", "p", " "]), (None, "0", 1, "plain", None)],
    )
    mappings = {
        "bars": {"from": "bars", "split": "|"},
        "flags": {"from": ["drama", "sci fi"]},
        "json": "json",
        "typed": "typed",
    }
    read = Reader(raw, {name: Mapping.model_validate(m) for name, m in mappings.items()})
    rows = raw.select("row", *[read.list(name).alias(name) for name in mappings]).orderBy("row").collect()
    assert [tuple(r)[1:] for r in rows] == [
        (["a", "b"], ["drama"], ["x", "y"], ["p"]),
        ([], ["sci fi"], ["plain"], []),
    ]


def test_a_pattern_takes_its_group_and_what_does_not_match_is_missing(spark):
    raw = raw_frame(spark, "title string", [("Heat (1995)",), ("Heat",)])
    read = Reader(raw, {"year": Mapping.model_validate({"from": "title", "pattern": r"\((\d{4})\)"})})
    assert [r[0] for r in raw.select(read.number("year"), "row").orderBy("row").collect()] == [1995.0, None]


@pytest.mark.parametrize("type_", ["int", "bigint", "string"])
@pytest.mark.parametrize("time", [Time(unit="s"), Time(unit="order", start=datetime.date(2000, 1, 1), step_seconds=3600)])
def test_a_time_in_whole_numbers_is_the_same_typed_as_written_out(spark, type_, time):
    numbers = [0, 1, -5, 2_000_000_000, None]
    raw = raw_frame(spark, f"t {type_}", [(str(n) if type_ == "string" and n is not None else n,) for n in numbers])
    read = Reader(raw, {"event_time": Mapping.model_validate("t")})
    found = [r[0] for r in raw.select(F.unix_micros(read.time("event_time", time)), "row").orderBy("row").collect()]
    start, step = (0, 1) if time.unit == "s" else (946_684_800, 3600)
    micros = [None if n is None else (start + n * step) * 1_000_000 for n in numbers]
    assert found == [m if m is None or n * step < 253_402_300_800 else None for n, m in zip(numbers, micros, strict=True)]


def test_a_pattern_takes_a_part_of_a_whole_number_too(spark):
    raw = raw_frame(spark, "t bigint", [(17_145_648_009,)])
    read = Reader(raw, {"event_time": Mapping.model_validate({"from": "t", "pattern": r"^(\d{10})"})})
    (found,) = raw.select(F.unix_micros(read.time("event_time", Time(unit="s")))).collect()
    assert found[0] == 1_714_564_800_000_000


def test_a_pattern_takes_what_comes_after_the_weekday_of_a_time(spark):
    raw = raw_frame(spark, "t string", [("Wed May 01 12:00:00 2024",), ("Wed, May 01 12:00:00 2024",)])
    read = Reader(raw, {"event_time": Mapping.model_validate({"from": "t", "pattern": r"^\w+,? (.+)$"})})
    found = raw.select(F.unix_micros(read.time("event_time", Time(unit="text", format="MMM dd HH:mm:ss yyyy")))).collect()
    assert [r[0] for r in found] == [1_714_564_800_000_000] * 2


def test_a_typed_boolean_is_a_number(spark):
    raw = raw_frame(spark, "v boolean", [(True,), (False,), (None,)])
    read = Reader(raw, {"value": Mapping.model_validate("v")})
    assert [r[0] for r in raw.select(read.number("value"), "row").orderBy("row").collect()] == [1.0, 0.0, None]


def test_nan_in_a_typed_column_is_missing_and_a_whole_number_is_written_as_one(spark):
    numbers = [float("nan"), 2.5, 7.0, 12345678.0, -3.0, 1e17, 0.0]
    raw = raw_frame(spark, "p double, many array<double>", [(n, [n]) for n in numbers])
    read = Reader(raw, {name: Mapping.model_validate(name) for name in ("p", "many")})
    found = raw.select("row", read.text("p"), read.list("many"), read.text_map(["p"])).orderBy("row").collect()
    texts = [None, "2.5", "7", "12345678", "-3", "1.0E17", "0"]
    assert [tuple(r)[1:] for r in found] == [(t, [t or "NaN"], {"p": t} if t else {}) for t in texts]


def test_what_is_declared_missing_is_null_in_texts_numbers_times_and_lists_and_has_no_entry_in_a_map(spark):
    fields = "id string, price string, count int, t bigint, cats string, typed array<string>, maker string"
    rows = [(" NA ", r"\N", -1, -1, "a|NA|b", ["NA", "c"], "NA"), ("NAB", "-1", 7, 0, "NA", [], "m")]
    raw = raw_frame(spark, fields, rows)
    mappings = {n: n for n in ("id", "price", "count", "t", "typed")} | {"cats": {"from": "cats", "split": "|"}}
    columns = {name: Mapping.model_validate(m) for name, m in mappings.items()}
    read = Reader(raw, columns, ["NA", r"\N", "-1"])
    found = raw.select(
        read.text("id"), read.number("price"), read.is_missing("price"), read.number("count"), read.is_missing("count"),
        F.unix_micros(read.time("t", Time(unit="s"))), read.list("cats"), read.list("typed"), read.text_map(["maker"]), "row",
    )  # fmt: skip
    assert [tuple(r)[:-1] for r in found.orderBy("row").collect()] == [
        (None, None, True, None, True, None, ["a", "b"], ["c"], {}),
        ("NAB", None, True, 7.0, False, 0, [], [], {"maker": "m"}),
    ]


def test_rows_that_say_something_else_than_where_are_not_read_but_broken_lines_are(spark):
    rows = [
        ("price", True, "1"),
        ("price", False, "2"),
        (" color ", True, "3"),
        (None, True, "4"),
        ("", None, "5"),
        ("x", True, "6"),
    ]
    raw = raw_frame(spark, "property string, active boolean, n string", rows, broken=[5])

    def read(where: dict, missing: tuple[str, ...] = ()) -> list[str]:
        declared = source(where=where, missing=missing)
        return [r["n"] for r in rows_to_read(raw, declared).select("fields.n", "row").orderBy("row").collect()]

    assert read({}) == ["1", "2", "3", "4", "5", "6"]
    assert read({"property": ["price", "color"], "active": True}) == ["1", "3", "6"]
    assert read({"property": ""}) == ["4", "5", "6"]  # nothing is a value, too
    assert read({"property": ""}, missing=("price",)) == ["1", "2", "4", "5", "6"]


def test_a_log_without_times_gets_an_order_that_is_neither_its_own_nor_that_of_the_files(spark):
    rows = [("u", f"i{n:03}", "view") for n in range(100)]
    declared = EventSource.model_validate(
        {
            "path": "x",
            "columns": {"user_id": "u", "item_id": "i", "event_type": "a"},
            "time": {"unit": "none", "start": "2001-02-03"},
        }
    )

    def parsed(rows: list[tuple]) -> dict[str, datetime.datetime]:
        events = parse_events(raw_frame(spark, "u string, i string, a string", rows), declared, EARLIEST, NOW).collect()
        assert {tuple(e["reasons"]) for e in events} == {()}
        return {e["item_id"]: e["event_time"].astimezone(UTC) for e in events}

    times = parsed(rows)
    assert {time.date() for time in times.values()} == {datetime.date(2001, 2, 3)}
    assert len(set(times.values())) == 100
    places = [place for _, place in sorted((times[i], n) for n, (_, i, _) in enumerate(rows))]
    assert abs(np.corrcoef(places, range(100))[0, 1]) < 0.3  # of an order by chance: three standard deviations
    assert parsed(rows[::-1]) == times
