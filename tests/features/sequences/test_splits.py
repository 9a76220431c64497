import datetime as dt

import pytest

from features.errors import NoInputError
from features.sequences.config import Split
from features.sequences.order import start_of
from features.sequences.splits import training_end, with_split
from tests.features.rows import Event, at, events_frame

GLOBAL_TIME = Split(by="global_time", valid_from=dt.date(2020, 1, 3), test_from=dt.date(2020, 1, 5))
EVENTS = [Event("u", f"i{day}", at(day, 12)) for day in (1, 2, 3, 4, 5)] + [Event("w", "i1", at(1)), Event("w", "i2", at(6))]


def _splits(spark, split):
    rows = with_split(events_frame(spark, EVENTS), split).orderBy("user_id", "position").collect()
    return {user: [r["split"] for r in rows if r["user_id"] == user] for user in ("u", "w")}


def test_leave_one_out_holds_the_last_two_back_of_users_with_three_events(spark):
    assert _splits(spark, Split()) == {"u": ["train", "train", "train", "valid", "test"], "w": ["train", "train"]}


def test_global_time_splits_at_midnight(spark):
    assert _splits(spark, GLOBAL_TIME) == {"u": ["train", "train", "valid", "valid", "test"], "w": ["train", "test"]}


def test_events_of_one_instant_are_ordered_by_tie_order(spark):
    ties = [Event("u", f"i{n}", at(1), tie_order=n) for n in (2, 0, 1)]
    rows = with_split(events_frame(spark, ties), Split()).collect()
    assert {r["item_id"]: (r["position"], r["split"]) for r in rows} == {
        "i0": (0, "train"),
        "i1": (1, "valid"),
        "i2": (2, "test"),
    }


def test_the_training_period_ends_at_valid_from_or_after_the_last_training_event(spark):
    events = events_frame(spark, EVENTS)
    assert training_end(with_split(events, GLOBAL_TIME), GLOBAL_TIME) == start_of(dt.date(2020, 1, 3))
    assert training_end(with_split(events, Split()), Split()) == start_of(dt.date(2020, 1, 6)) + 1


def test_a_training_period_without_events_is_no_input(spark):
    early = Split(by="global_time", valid_from=dt.date(2019, 1, 1), test_from=dt.date(2019, 2, 1))
    with pytest.raises(NoInputError, match=r"none is in the training period.*valid_from=2019-01-01"):
        training_end(with_split(events_frame(spark, EVENTS), early), early)
