import datetime as dt

import pytest
from delta.tables import DeltaTable

from jobs.build_features import main
from tests.features.rows import Event, at, random_events
from tests.jobs.feature_warehouse import FeatureWarehouse

EDGES = [Event("early", "i0", at(1)), Event("u0", "i1", at(12, 5))]  # a user of the first day only; the last day
EVENTS = [*random_events(seed=4, users=4, items=5, events=60, days=12), *EDGES]
ITEMS = {"i0": {"categories": ["a", "b"]}, "i1": {"categories": ["b"]}, "i2": {}}
TABLES = ("user_days", "item_days", "user_features", "item_features")


@pytest.fixture(scope="module")
def house(spark, tmp_path_factory):
    house = FeatureWarehouse(spark, tmp_path_factory.mktemp("features"))
    house.write(EVENTS, ITEMS)
    return house


@pytest.fixture(scope="module")
def full(house):
    assert main(["--config", house.conf()]) == 0
    return {name: house.rows(name) for name in TABLES}


def test_features_have_a_row_for_each_day_with_events_and_for_the_day_after_the_last(house, full):
    rows = {(r["user_id"], r["date"]): r for r in house.table("user_features").collect()}
    users, as_of = {e.user_id for e in EVENTS}, dt.date(2020, 1, 13)
    assert set(rows) == {(e.user_id, e.date) for e in EVENTS} | {(u, as_of) for u in users}
    for (user, date), row in rows.items():
        past = [e for e in EVENTS if e.user_id == user and 1 <= (date - e.date).days <= 3]
        assert row["events_count_3d"] == len(past)


def test_a_second_run_is_skipped_and_a_forced_one_leaves_the_same_rows(house, full):
    before = house.versions()
    assert main(["--config", house.conf()]) == 0
    assert house.versions() == before
    assert main(["--config", house.conf(), "--force"]) == 0
    assert {name: house.rows(name) for name in TABLES} == full


def test_a_run_over_the_last_days_leaves_the_rows_of_a_full_run(house, full):
    features = DeltaTable.forPath(house.spark, str(house.folder / "warehouse" / "user_features"))
    features.delete("date > '2020-01-10'")
    assert main(["--config", house.conf(), "--start", "2020-01-10", "--end", "2020-01-12", "--force"]) == 0
    assert {name: house.rows(name) for name in TABLES} == full


def test_a_run_over_one_day_replaces_that_day_and_the_one_after(house, full):
    assert main(["--config", house.conf(), "--date", "2020-01-06", "--force"]) == 0
    for name in ("user_days", "item_days"):
        assert house.rows(name) == full[name]
    scored = house.table("user_features").where("date = '2020-01-07'").collect()
    assert {r["user_id"] for r in scored} == {e.user_id for e in EVENTS if e.date <= dt.date(2020, 1, 7)}
    others = house.table("user_features").where("date != '2020-01-07'")
    assert others.count() == sum('"date": "2020-01-07"' not in row for row in full["user_features"])


def test_days_without_events_are_no_input(house, full, capfd):
    assert main(["--config", house.conf(), "--date", "2021-05-01"]) == 4
    assert "events: none between 2021-05-01 and 2021-05-01" in capfd.readouterr().err
