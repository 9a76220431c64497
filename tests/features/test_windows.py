"""Trailing features against a loop over single events."""

import datetime as dt
from collections import Counter

import pytest

from features.declared_tables import feature_table
from features.features_config import Feature
from features.schema import conform
from features.tiles import day_tiles
from features.windows import longest_window, trailing_features
from tests.features.rows import Event, at, events_frame, items_frame, random_events

AS_OF = dt.date(2020, 1, 21)
ITEMS = {f"i{n}": {"categories": ["a", "b", "c"][: n % 4]} for n in range(6)}
EVERY_OPERATION = tuple(
    Feature(**{operation: of}, event_type=event_type, days=(1, 3, 30))
    for operation, of in {
        "count": "events",
        "sum": "value",
        "mean": "value",
        "recency": "events",
        "frequency": "events",
        "share": "categories",
    }.items()
    for event_type in (None, "buy")
)


def _features(spark, events, features, entity="user"):
    tiles = day_tiles(events_frame(spark, events), items_frame(spark, ITEMS), entity, features)
    rows = trailing_features(tiles, tiles.select(f"{entity}_id").distinct(), entity, features, AS_OF)
    return {(r[0], r["date"]): r.asDict() for r in conform(rows, feature_table(entity, features)).collect()}


def _expected(events, entity, key, date, feature, days):
    inside = [
        e
        for e in events
        if getattr(e, f"{entity}_id") == key
        and 1 <= (date - e.date).days <= days
        and feature.event_type in (None, e.event_type)
    ]
    values = [e.value for e in inside if e.value is not None]
    categories = Counter(c for e in inside for c in ITEMS[e.item_id].get("categories", []))
    return {
        "count": len(inside),
        "sum": sum(values),
        "mean": sum(values) / len(values) if values else None,
        "recency": min(((date - e.date).days for e in inside), default=None),
        "frequency": len({e.date for e in inside}) / days,
        "share": {c: n / categories.total() for c, n in categories.items()},
    }[feature.operation]


def _name(feature, days):
    of = {"share": "category", "sum": "value", "mean": "value"}.get(feature.operation, "events")
    return f"{feature.event_type + '_' if feature.event_type else ''}{of}_{feature.operation}_{days}d"


@pytest.mark.parametrize("entity", ["user", "item"])
def test_every_operation_and_window_equals_a_loop_over_the_events(spark, entity):
    events = random_events(seed=3, users=4, items=6, events=90, days=20)
    rows = _features(spark, events, EVERY_OPERATION, entity)
    keys = {getattr(e, f"{entity}_id") for e in events}
    assert set(rows) == {(getattr(e, f"{entity}_id"), e.date) for e in events} | {(k, AS_OF) for k in keys}
    for (key, date), row in rows.items():
        for feature in EVERY_OPERATION:
            for days in feature.days:
                expected = _expected(events, entity, key, date, feature, days)
                assert row[_name(feature, days)] == pytest.approx(expected), (key, date, feature.operation, days)


def test_a_window_holds_its_first_and_last_day_and_not_the_rows_own(spark):
    window = (Feature(count="events", days=(7,)),)
    first_day, last_day = [Event("u", "i0", at(14, 23.9))], [Event("u", "i0", at(20, 23.9))]
    assert _features(spark, first_day, window)["u", AS_OF]["events_count_7d"] == 1
    assert _features(spark, last_day, window)["u", AS_OF]["events_count_7d"] == 1
    assert _features(spark, [Event("u", "i0", at(13, 23.9))], window)["u", AS_OF]["events_count_7d"] == 0
    twice_a_day = [Event("u", "i0", at(5, 1)), Event("u", "i0", at(5, 2))]
    assert _features(spark, twice_a_day, window)["u", dt.date(2020, 1, 5)]["events_count_7d"] == 0


def test_tiles_of_the_day_itself_and_later_reach_no_row_as_of_it(spark):
    late = [Event("u", "i0", at(3)), Event("u", "i1", at(21)), Event("u", "i1", at(22))]
    rows = _features(spark, late, (Feature(count="events", days=(30,)),))
    assert {date: row["events_count_30d"] for (_, date), row in rows.items()} == {dt.date(2020, 1, 3): 0, AS_OF: 1}


def test_a_key_without_a_past_has_zeros_and_nulls(spark):
    row = _features(spark, [Event("u", "i1", at(9), value=2.0)], EVERY_OPERATION)["u", dt.date(2020, 1, 9)]
    assert [row[_name(f, 30)] for f in EVERY_OPERATION[::2]] == [0, 0.0, None, None, 0.0, {}]


def test_the_longest_window_says_how_far_tiles_are_read_back():
    assert longest_window((Feature(count="events", days=(7, 90)), Feature(sum="value", days=(30,)))) == 90
    assert longest_window(()) == 0
