import datetime as dt
import json
from dataclasses import replace

import pytest

from jobs.build_features import main
from tests.features.rows import Event, at, random_events
from tests.jobs.feature_warehouse import FeatureWarehouse

EDGES = [Event("early", "i0", at(1)), Event("u0", "i1", at(12, 5))]  # a user of the first day only; the last day
EVENTS = [*random_events(seed=4, users=4, items=5, events=60, days=12), *EDGES]
ITEMS = {"i0": {"categories": ["a", "b"]}, "i1": {"categories": ["b"]}, "i2": {}}
TABLES = ("user_days", "item_days", "category_days", "user_features", "item_features", "category_features")


@pytest.fixture(scope="module")
def house(spark, tmp_path_factory):
    house = FeatureWarehouse(spark, tmp_path_factory.mktemp("features"))
    house.write(EVENTS, ITEMS)
    return house


@pytest.fixture(scope="module")
def first(house):
    """Rows after the first run of all, which has dates."""
    assert main(["--config", house.conf(), "--start", "2020-01-05", "--end", "2020-01-06"]) == 0
    return {name: house.rows(name) for name in TABLES}


@pytest.fixture(scope="module")
def full(house, first):
    """Rows after the first run without dates."""
    assert main(["--config", house.conf()]) == 0
    return {name: house.rows(name) for name in TABLES}


def test_features_have_a_row_for_each_day_with_events_and_for_the_day_after_the_last(house, full):
    rows = {(r["user_id"], r["date"]): r for r in house.table("user_features").collect()}
    users, as_of = {e.user_id for e in EVENTS}, dt.date(2020, 1, 13)
    assert set(rows) == {(e.user_id, e.date) for e in EVENTS} | {(u, as_of) for u in users}
    for (user, date), row in rows.items():
        past = [e for e in EVENTS if e.user_id == user and 1 <= (date - e.date).days <= 3]
        assert row["events_count_3d"] == len(past)


def test_a_first_run_with_dates_builds_all_days_and_its_rows_of_the_day_after_go_with_one_without(first, full):
    for name in TABLES:
        assert set(first[name]) >= set(full[name])
        asked = [json.loads(row)["date"] for row in set(first[name]) - set(full[name])]
        assert set(asked) == (set() if name.endswith("_days") else {"2020-01-07"})


def test_a_second_run_is_skipped(house, full):
    before = house.versions()
    assert main(["--config", house.conf()]) == 0
    assert house.versions() == before


def test_a_run_over_one_day_makes_that_day_and_every_user_as_of_the_next_and_changes_nothing_else(house, full):
    assert main(["--config", house.conf(), "--date", "2020-01-06", "--force"]) == 0
    for name in ("user_days", "item_days"):
        assert house.rows(name) == full[name]
    scored = house.table("user_features").where("date = '2020-01-07'").collect()
    assert {r["user_id"] for r in scored} == {e.user_id for e in EVENTS if e.date <= dt.date(2020, 1, 6)}
    assert set(house.rows("user_features")) >= set(full["user_features"])
    assert house.table("user_features").count() == len(set(full["user_features"]) | {_json(r) for r in scored})


def test_days_without_events_are_no_input(house, full, capfd):
    assert main(["--config", house.conf(), "--date", "2021-05-01"]) == 4
    assert "events: none from 2021-05-01 to 2021-05-01" in capfd.readouterr().err


# Bringing tables up to date

RARE = Event("u2", "rare", at(2, 3))  # the only event of its item, of which the catalogue changes
FIRST = [*[e for e in EVENTS if e.date <= dt.date(2020, 1, 9)], RARE]
LATE = Event("u1", "i3", at(3, 7), "buy", 4.5, 9, "late")
GONE = [e for e in EVENTS if e.user_id == "early" or (e.user_id, e.date.day) == ("u3", 5)]  # the one of a user; of a day
NOW = [e for e in EVENTS if e not in GONE] + [LATE, RARE]
FIRST_ITEMS, NOW_ITEMS = ({**ITEMS, "rare": {"categories": [c]}, **new} for c, new in (("a", {}), ("c", {"new": {}})))
FEATURES = {
    "user": [
        {"count": "events", "days": [2]},
        {"sum": "value", "where": {"event_type": "buy"}, "days": [3]},
        {"share": "category", "days": [2]},
        {"last": "item_id", "days": [3]},
        {"count": "sessions", "days": [3]},
    ],
    "item": [{"count": "events", "days": [2]}, {"distinct": "user_id", "days": [3]}],
    "category": [{"smoothed_mean": "value", "smoothing": 2, "prior": 3, "days": [3]}],
}


@pytest.fixture(scope="module")
def growing(spark, tmp_path_factory):
    house = FeatureWarehouse(spark, tmp_path_factory.mktemp("growing"))
    house.write(_with_ids(FIRST), FIRST_ITEMS)
    assert main(["--config", house.conf(features=FEATURES)]) == 0
    return house


@pytest.fixture(scope="module")
def from_nothing(spark, tmp_path_factory):
    """Rows of a full build over given events and items."""

    def build(events, items):
        house = FeatureWarehouse(spark, tmp_path_factory.mktemp("whole"))
        house.write(_with_ids(events), items)
        assert main(["--config", house.conf(features=FEATURES)]) == 0
        return {name: house.rows(name) for name in TABLES}

    return build


@pytest.fixture(scope="module")
def whole(from_nothing):
    return from_nothing(NOW, NOW_ITEMS)


def test_new_days_late_events_deleted_ones_and_other_categories_are_brought_in_as_by_a_full_build(growing, whole):
    assert [e.user_id for e in GONE] == ["u3", "early"]
    growing.write(_with_ids(NOW), NOW_ITEMS)
    assert main(["--config", growing.conf(features=FEATURES)]) == 0
    assert {name: growing.rows(name) for name in TABLES} == whole
    stale = {e.date for e in NOW if e.date > dt.date(2020, 1, 9)} | {e.date for e in [LATE, RARE, *GONE]}
    assert len(stale) < len({e.date for e in NOW}) - 2
    next_days = {day + dt.timedelta(days=1) for day in stale}  # a session may go on
    written = growing.table("runs").orderBy("started_at").tail(1)[0]["counts"]
    assert written["item_days"] == len({(e.item_id, e.date) for e in NOW if e.date in stale})
    assert written["user_days"] == len({(e.user_id, e.date) for e in NOW if e.date in stale | next_days})


def test_a_run_with_dates_refuses_other_declarations_also_where_they_have_the_same_names(growing, capfd):
    features = FEATURES | {"category": [FEATURES["category"][0] | {"smoothing": 3}]}
    assert main(["--config", growing.conf(features=features), "--date", "2020-01-09"]) == 3
    assert "Received other values in features. Run the job once without dates" in capfd.readouterr().err


def test_what_is_declared_of_the_choice_of_features_and_their_drift_builds_nothing(growing):
    before = growing.versions()
    features = FEATURES | {"selection": {"max_nulls": 0.5}, "drift": {"reference": "2020-01"}}
    assert main(["--config", growing.conf(features=features)]) == 0
    assert growing.versions() == before


def test_events_that_are_written_again_unchanged_change_nothing(growing):
    before = {n: v for n, v in growing.versions().items() if n in TABLES}
    growing.write(_with_ids(NOW)[::-1], NOW_ITEMS)
    assert main(["--config", growing.conf(features=FEATURES)]) == 0
    assert {n: v for n, v in growing.versions().items() if n in TABLES} == before


def test_where_vacuum_has_taken_what_the_last_run_read_everything_is_built_to_the_same_rows(growing, whole):
    old = list((growing.folder / "warehouse" / "events").glob("month=*/*.parquet"))
    assert old
    growing.write(_with_ids(NOW)[::-1], NOW_ITEMS)
    for file in old:  # as VACUUM does
        file.unlink()
    assert main(["--config", growing.conf(features=FEATURES)]) == 0
    assert {name: growing.rows(name) for name in TABLES} == whole


def test_a_run_with_dates_brings_in_what_has_changed_before_its_days_as_a_full_build_does(growing, from_nothing, whole):
    """Nothing happens on day 10 any more, there is more on day 11, an item has no category: a run over day 12 reaches them
    all. One of its users goes with their events."""
    conf = ["--config", growing.conf(features=FEATURES)]
    more = [Event("u0", "i2", at(11, 23.9)), Event("u0", "i2", at(12, 0.1)), Event("brief", "i1", at(12, 6))]
    events, items = [*[e for e in NOW if e.date.day != 10], *more], NOW_ITEMS | {"rare": {}}
    growing.write(_with_ids(events), items)
    assert main([*conf, "--date", "2020-01-12"]) == 0
    assert {name: growing.rows(name) for name in TABLES} == from_nothing(events, items)
    growing.write(_with_ids(NOW), NOW_ITEMS)
    assert main(conf) == 0
    assert {name: growing.rows(name) for name in TABLES} == whole


def test_other_declarations_build_everything_anew_and_without_any_category_the_next_run_goes_on(growing):
    features = FEATURES | {"user": [{"max": "value", "days": [3]}], "category": [{"count": "events"}]}
    for events in (FIRST, NOW):
        growing.write(_with_ids(events), {})
        assert main(["--config", growing.conf(features=features)]) == 0
    assert growing.table("user_days").columns == ["user_id", "date", "month", "events", "value_max"]
    assert growing.rows("category_features") == []
    days = {(e.user_id, str(e.date)) for e in NOW}
    assert {(row["user_id"], row["date"]) for row in map(json.loads, growing.rows("user_days"))} == days


def _with_ids(events):
    return [replace(e, event_id=e.event_id or f"{e.user_id} {e.event_time} {e.tie_order}") for e in events]


def _json(row):
    return json.dumps(row.asDict(recursive=True), default=str, sort_keys=True)
