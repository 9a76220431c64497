"""Trailing features against a loop over single events."""

import datetime as dt
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.schema import conform
from features.trailing.as_of import features_as_of
from features.trailing.config import FeaturesConfig
from features.trailing.feature import Feature, Ratio, longest_window, windows_of
from features.trailing.tables import feature_table, logarithmic_features
from features.trailing.tiles import day_tiles
from features.trailing.windows import every_key, trailing_features
from tests.features.oracle import expected
from tests.features.rows import Event, at, events_frame, items_frame

AS_OF = dt.date(2020, 1, 21)
ZONE = "Europe/Berlin"
ITEMS = {
    f"i{n}": {"categories": ["a", "b", "c"][: n % 4], "price": None if n == 2 else 1e6 + n / 3, "year": 1990.0 + n}
    for n in range(6)
}
WINDOWS = (1, 3)
ABOUT = {
    "events": ("count", "recency", "frequency", "per_active_day"),
    "value": ("sum", "mean", "min", "max", "std", "first", "last"),
    "price": ("std", "max"),
    "category": ("share", "entropy", "distinct"),
    "item_id": ("distinct", "distinct_sketch", "first", "last"),
    "user_id": ("distinct",),
    "context.device": ("share", "last"),
    "hour": ("share",),
    "weekday": ("share", "entropy"),
}
CONDITIONS = ({}, {"event_type": "buy"}, {"event_type": ["buy", "view"], "value": {"at_least": 1.5, "below": 4}})
EVERY_OPERATION = (
    *[Feature(**{o: of}, days=WINDOWS) for of, operations in ABOUT.items() for o in operations],
    *[Feature(**{o: of}, days=(3,), where=w) for o, of in (("count", "events"), ("share", "hour")) for w in CONDITIONS[1:]],
    Feature(mean="context.seconds", days=(30,), where={"context.device": ["web"]}),
    Feature(trend="events", days=(3, 30)),
    Feature(decayed_count="events", half_life=2.5, days=(30,)),
    Feature(decayed_sum="value", half_life=7, days=(3, 30)),
    Feature(interest="category", half_life=2.5, smoothing=2, days=(3, 30)),
    Feature(smoothed_mean="value", smoothing=3, prior=1.5, days=(3, 30)),
    Feature(last_k="item_id", k=3, days=(3, 30)),
    Feature(last_k="value", k=2, days=(30,)),
)
SESSIONS = (Feature(count="sessions", days=WINDOWS), Feature(mean="sessions", days=WINDOWS))


def _not_of(key):
    return tuple(f for f in EVERY_OPERATION if f.of != key)


def _features(spark, events, declared, entity="user"):
    config = FeaturesConfig(**{entity: declared}, zone=ZONE)
    tiles = day_tiles(events_frame(spark, events), items_frame(spark, ITEMS), entity, config)
    rows = trailing_features(tiles, every_key(tiles, entity, AS_OF), entity, declared)
    return {(r[0], r["date"]): r.asDict() for r in conform(rows, feature_table(entity, declared)).collect()}


def _features_as_of(spark, events, declared, entity, asked):
    """The same, each row made from the tiles that are joined to it."""
    config = FeaturesConfig(**{entity: declared}, zone=ZONE)
    tiles = day_tiles(events_frame(spark, events), items_frame(spark, ITEMS), entity, config)
    keys = spark.createDataFrame(sorted(asked), f"{entity}_id string, date date")
    rows = features_as_of(tiles, keys, entity, declared)
    return {(r[0], r["date"]): r.asDict() for r in conform(rows, feature_table(entity, declared)).collect()}


def _check(spark, events, declared, entity):
    histories = defaultdict(list)
    for event in events:
        for key in _keys(event, entity):
            histories[key].append(event)
    rows = _features(spark, events, declared, entity)
    assert set(rows) == {(key, e.date) for key, h in histories.items() for e in h} | {(key, AS_OF) for key in histories}
    one_by_one = _features_as_of(spark, events, declared, entity, rows)
    assert set(one_by_one) == set(rows)
    for (key, date), row in [*rows.items(), *one_by_one.items()]:
        for name, (feature, window) in windows_of(declared).items():
            found, right = row[name], expected(feature, window, histories[key], date, ITEMS, ZONE)
            is_close = isinstance(right, float | dict)
            assert found == (pytest.approx(right, rel=1e-9, abs=1e-9) if is_close else right), (key, date, name)


def _keys(event, entity):
    if entity == "category":
        return ITEMS.get(event.item_id, {}).get("categories", [])
    return [getattr(event, f"{entity}_id")]


def _event(n, user, item, minute, event_type, value, context, session):
    time = at(1) + dt.timedelta(minutes=minute)
    return Event(f"u{user}", f"i{item}", time, event_type, value, n, f"e{n:03}", session, context)


@st.composite
def logs(draw):
    """Some users' events over twenty days, many on the same days, some at the same instants."""
    quarters = st.integers(0, 19 * 96 - 1).map(lambda n: 15 * n) | st.sampled_from([0, 24 * 60 - 1, 24 * 60, 19 * 24 * 60 - 1])
    devices = st.fixed_dictionaries(
        {}, optional={"device": st.sampled_from(["web", "app"]), "seconds": st.sampled_from(["2.5", "soon"])}
    )
    rows = st.tuples(
        st.integers(0, 2), st.integers(0, 6), quarters, st.sampled_from(["view", "buy", "like"]),
        st.none() | st.integers(-4, 10).map(lambda n: n / 2), devices, st.sampled_from([None, "s1", "s2"]),
    )  # fmt: skip
    return [_event(n, *row) for n, row in enumerate(draw(st.lists(rows, min_size=1, max_size=60)))]


A_FEW = settings(
    max_examples=2,
    derandomize=True,
    phases=[Phase.generate],  # to shrink takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@A_FEW
@given(logs())
def test_every_operation_of_users_equals_a_loop_over_the_events(spark, events):
    _check(spark, events, _not_of("user_id") + SESSIONS, "user")


@A_FEW
@given(logs())
def test_every_operation_of_items_equals_a_loop_over_the_events(spark, events):
    _check(spark, events, _not_of("item_id"), "item")


@A_FEW
@given(logs())
def test_every_operation_of_categories_equals_a_loop_over_the_events(spark, events):
    _check(spark, events, tuple(f for f in _not_of("category") if f.days == WINDOWS or f.op.needs), "category")


def test_hours_and_weekdays_follow_the_zone_through_its_change_to_summer_time(spark):
    """Berlin's clocks went from 2 to 3 on Sunday, 2020-03-29, at 1 UTC."""
    change = dt.datetime(2020, 3, 29, 1, tzinfo=dt.UTC)
    instants = [change + dt.timedelta(hours=h) for h in (-26, -3, -1, -0.01, 0, 1, 21, 22)]
    events = [Event("u", "i0", instant, event_id=f"e{n}") for n, instant in enumerate(instants)]
    declared = (Feature(share="hour", days=(120,)), Feature(share="weekday", days=(120,)))
    config = FeaturesConfig(user=declared, zone=ZONE)
    tiles = day_tiles(events_frame(spark, events), items_frame(spark, ITEMS), "user", config)
    asked = spark.createDataFrame([("u", dt.date(2020, 4, 1))], "user_id string, date date")
    row = trailing_features(tiles, asked, "user", declared).where("date = '2020-04-01'").head()
    assert row["hour_share_120d"] == {"00": 2 / 8, "01": 3 / 8, "03": 1 / 8, "04": 1 / 8, "23": 1 / 8}
    assert row["weekday_share_120d"] == {"7": 2 / 8, "1": 4 / 8, "2": 2 / 8}


def test_a_window_holds_its_first_and_last_day_and_not_the_rows_own(spark):
    window = (Feature(count="events", days=(7,)),)
    first_day, last_day = [Event("u", "i0", at(14, 23.9))], [Event("u", "i0", at(20, 23.9))]
    assert _features(spark, first_day, window)["u", AS_OF]["events_count_7d"] == 1
    assert _features(spark, last_day, window)["u", AS_OF]["events_count_7d"] == 1
    assert _features(spark, [Event("u", "i0", at(13, 23.9))], window)["u", AS_OF]["events_count_7d"] == 0
    twice_a_day = [Event("u", "i0", at(5, 1)), Event("u", "i0", at(5, 2))]
    assert _features(spark, twice_a_day, window)["u", dt.date(2020, 1, 5)]["events_count_7d"] == 0


def test_a_key_without_a_past_has_what_the_comment_says(spark):
    row = _features(spark, [Event("u", "i1", at(9), value=2.0, event_id="e")], _not_of("user_id"))["u", dt.date(2020, 1, 9)]
    empty = {"0": 0, "null": None}
    for name, (feature, _) in windows_of(_not_of("user_id")).items():
        kind = feature.op.empty.split(":")[0]
        assert row[name] == empty.get(kind, {} if feature.type.startswith("map") else []), name


def test_a_ratio_is_of_two_features_and_null_without_a_divisor(spark):
    ratio = Ratio(ratio="buy_events_count_3d", to="events_count_3d")
    declared = (Feature(count="events", where={"event_type": "buy"}, days=(3,)), Feature(count="events", days=(3,)), ratio)
    events = [Event("u", "i1", at(19), "buy"), *[Event("u", "i1", at(20, h)) for h in range(3)]]
    rows = _features(spark, events, declared)
    assert ratio.column == "buy_events_count_3d_per_events_count_3d"
    assert {d.day: row[ratio.column] for (_, d), row in rows.items()} == {19: None, 20: 1.0, 21: 0.25}


def test_a_key_that_is_asked_for_on_the_day_of_its_tile_has_one_row(spark):
    declared = (Feature(count="events", days=(3,)),)
    frame = events_frame(spark, [Event("u", "i0", at(20)), Event("u", "i0", at(19))])
    tiles = day_tiles(frame, items_frame(spark, {}), "user", FeaturesConfig(user=declared))
    asked = every_key(tiles, "user", dt.date(2020, 1, 20))
    rows = trailing_features(tiles, asked, "user", declared).select("date", "events_count_3d").collect()
    assert sorted((r[0].day, r[1]) for r in rows) == [(19, 0), (20, 1)]


def test_the_longest_window_says_how_far_tiles_are_read_back():
    assert longest_window((Feature(count="events", days=(7, 90)), Feature(sum="value", days=(30,)))) == 90
    assert longest_window(()) == 0


RATIOS = tuple(
    Ratio(ratio="value_mean_3d", to=to)
    for to in ("events_count_3d", "value_sum_3d", "events_frequency_3d", "events_decayed_count_2_5d_30d", "item_id_distinct_3d")
)
NAMED_LIKE_OTHERS = (
    Feature(mean="context.decayed_count_of"),
    Feature(max="context.events_count"),
    Feature(count="events", where={"event_type": "login"}, where_name="logins_7d_per_week"),
)


def test_the_features_that_are_scaled_as_logarithms_are_counts_and_sums_and_no_ratios():
    declared = EVERY_OPERATION + RATIOS + NAMED_LIKE_OTHERS
    of = {name: feature.operation for name, (feature, _) in windows_of(declared).items()}
    right = {name for name, operation in of.items() if operation in ("count", "sum", "decayed_count", "decayed_sum")}
    assert logarithmic_features(declared) == right
