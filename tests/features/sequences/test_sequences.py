"""Sequences against a loop over each user's events."""

import datetime as dt
from collections import Counter
from typing import Any

import numpy as np
import pytest

from features.content.encoding import with_user_content
from features.scaling import fit
from features.schema import conform
from features.sequences.config import SequencesConfig, Split
from features.sequences.leakage import check_events, check_examples
from features.sequences.order import start_of
from features.sequences.sequences import latest_windows, length_buckets, training_examples
from features.sequences.splits import with_split
from features.sequences.steps import UserFeatures
from features.sequences.vocabularies import Vocabularies
from features.tables import ITEM_VOCABULARY, LABEL_VOCABULARY, SEQUENCES, USER_VOCABULARY
from features.trailing.config import FeaturesConfig
from features.trailing.feature import Feature
from features.trailing.tables import logarithmic_features, model_features, zero_features
from features.trailing.tiles import day_tiles
from features.trailing.windows import every_key, trailing_features
from tests.features.rows import events_frame, items_frame, random_events

AS_OF = dt.date(2020, 1, 21)
DECLARED = (Feature(count="events", days=(3,)), Feature(recency="events", days=(30,)))
ITEMS = {f"i{n}": n + 2 for n in range(5)}  # i5 is in no vocabulary
USERS = {f"u{n}": n + 2 for n in range(4)}  # u4 likewise
TYPES = {"buy": 2, "view": 3}
FEWER = {"u3": 2, "u4": 1}  # events of the users with a short history
MEAN, STD = 2.5, 1.25  # of value
LEAVE_ONE_OUT = SequencesConfig(max_length=6, min_length=2)
GLOBAL_TIME = SequencesConfig(
    max_length=6, min_length=2, split=Split(by="global_time", valid_from=dt.date(2020, 1, 11), test_from=dt.date(2020, 1, 16))
)


def _log() -> list[Any]:
    kept, seen = [], Counter()
    for event in random_events(seed=5, users=5, items=6, events=120, days=20):
        seen[event.user_id] += 1
        if seen[event.user_id] <= FEWER.get(event.user_id, 1000):
            kept.append(event)
    return kept


LOG = _log()
HISTORIES = {
    user: sorted((e for e in LOG if e.user_id == user), key=lambda e: (e.event_time, e.tie_order))
    for user in {e.user_id for e in LOG}
}


def _raw_features(user, date):
    """Events of the three days before, and days since the last event."""
    before = [(date - e.date).days for e in HISTORIES[user] if e.date < date]
    return [sum(days <= 3 for days in before), min(before, default=None)]


def _z(value, mean, std):
    return 0.0 if value is None else (value - mean) / std


ROWS = [_raw_features(u, d) for u, h in HISTORIES.items() for d in {e.date for e in h} | {AS_OF}]
COUNTS, RECENCIES = np.log1p([r[0] for r in ROWS]), [r[1] for r in ROWS if r[1] is not None]


def _features(user, date):
    count, recency = _raw_features(user, date)
    return [_z(np.log1p(count), COUNTS.mean(), COUNTS.std()), _z(recency, np.mean(RECENCIES), np.std(RECENCIES))]


def _bucket(seconds):
    return min(31, 1 + int(np.floor(np.log2(1 + seconds))))


def _step(user, place, request_time):
    """What the model reads at one event: the expected value of each array of HISTORY."""
    event, before = HISTORIES[user][place], HISTORIES[user][place - 1] if place else None
    return {
        "item_ids": ITEMS.get(event.item_id, 1),
        "event_types": TYPES[event.event_type],
        "values": _z(event.value, MEAN, STD),
        "gaps": _bucket((event.event_time - before.event_time).total_seconds()) if before else 0,
        "request_gaps": _bucket((request_time - event.event_time).total_seconds()),
        "request_hours": 1 + request_time.hour,
        "request_weekdays": 1 + request_time.isoweekday() % 7,
        "user_features": _features(user, request_time.date()),
    }


def _split_of(config, user, place):
    if config.split.by == "global_time":
        date = HISTORIES[user][place].date
        return "train" if date < config.split.valid_from else "valid" if date < config.split.test_from else "test"
    from_end = len(HISTORIES[user]) - place
    return {1: "test", 2: "valid"}.get(from_end, "train") if len(HISTORIES[user]) >= 3 else "train"


def _windows(config, user, split):
    """Places of the targets of each window, newest window first."""
    own = [p for p in range(1, len(HISTORIES[user])) if _split_of(config, user, p) == split]
    places, windows = list(range(1, max(own, default=0) + 1)), []
    while set(places) & set(own):
        windows.append(places[-config.max_length :])
        places = places[: -config.max_length]
    return windows


def _target(config, user, place, split):
    event, counts = HISTORIES[user][place], float(_split_of(config, user, place) == split)
    return {
        "targets": ITEMS.get(event.item_id, 1),
        "weights": counts,
        "target_values": _z(event.value, MEAN, STD),
        "target_value_weights": counts * (event.value is not None),
    }


def _check_arrays(row, steps, length):
    padding = length - len(steps)
    for name in steps[0]:
        empty = [0.0, 0.0] if name == "user_features" else 0
        expected = np.ravel([step[name] for step in steps] + [empty] * padding)
        np.testing.assert_allclose(row[name], expected, atol=1e-5, err_msg=f"{name} of {row}")


@pytest.fixture(scope="module")
def tables(spark):
    events = events_frame(spark, LOG)
    tiles = day_tiles(events, items_frame(spark, {}), "user", FeaturesConfig(user=DECLARED))
    features = trailing_features(tiles, every_key(tiles, "user", AS_OF), "user", DECLARED).cache()
    labels = [("event_type", name, index) for name, index in TYPES.items()]
    vocabularies = Vocabularies(
        spark.createDataFrame(list(ITEMS.items()), ITEM_VOCABULARY.schema),
        spark.createDataFrame(list(USERS.items()), USER_VOCABULARY.schema),
        spark.createDataFrame(labels, LABEL_VOCABULARY.schema),
    )
    names = model_features(DECLARED)
    statistics = fit(features, "user_features", names, start_of(AS_OF), logarithmic_features(DECLARED))
    value = spark.createDataFrame([(MEAN - STD,), (MEAN + STD,)], "value double")
    statistics = statistics.unionByName(fit(value, "sequences", ["value"], start_of(AS_OF))).cache()
    features = UserFeatures(features, names, zero_features(DECLARED))
    return {"user_features": features, "vocabularies": vocabularies, "statistics": statistics}


@pytest.fixture(scope="module", params=[LEAVE_ONE_OUT, GLOBAL_TIME], ids=["leave_one_out", "global_time"])
def built(spark, tables, request):
    events = with_split(events_frame(spark, LOG), request.param.split)
    examples = training_examples(events, **tables, config=request.param).cache()
    check_events(events)
    check_examples(examples, request.param.split, start_of(AS_OF))
    return request.param, examples


def test_examples_are_the_windows_of_each_users_history(built):
    config, examples = built
    rows = {row["example_id"]: row.asDict() for row in conform(with_user_content(examples, None, ()), SEQUENCES).collect()}
    expected = {
        f"{user}|{split}|{number}": (user, split, places)
        for user in HISTORIES
        for split in ("train", "valid", "test")
        for number, places in enumerate(_windows(config, user, split))
    }
    assert rows.keys() == expected.keys()
    for example_id, (user, split, places) in expected.items():
        row, history = rows[example_id], HISTORIES[user]
        length = next(n for n in (2, 4, 6) if n >= len(places))
        assert (row["user_id"], row["user_index"], row["split"]) == (user, USERS.get(user, 1), split)
        assert (row["events"], row["length"]) == (len(places), length)
        steps = [_step(user, p - 1, history[p].event_time) | _target(config, user, p, split) for p in places]
        _check_arrays(row, steps, length)


def test_each_event_but_a_users_first_is_the_target_of_one_example(built):
    _, examples = built
    counted = sum(sum(row["weights"]) for row in examples.select("weights").collect())
    assert counted == len(LOG) - len(HISTORIES)
    assert counted == examples.agg({"counted": "sum"}).collect()[0][0]


def test_evaluation_by_leave_one_out_judges_the_newest_position_of_a_full_look_back(built):
    config, examples = built
    if config is GLOBAL_TIME:
        pytest.skip("judges every position of the period")
    rows = examples.where("split = 'test'").select("user_id", "events", "weights").collect()
    assert {r["user_id"] for r in rows} == {u for u, h in HISTORIES.items() if len(h) >= 3}
    for r in rows:
        assert r["events"] == min(6, len(HISTORIES[r["user_id"]]) - 1)
        assert r["weights"][: r["events"]] == [0.0] * (r["events"] - 1) + [1.0]


def test_scoring_reads_the_last_events_as_training_does_and_asks_at_the_start_of_the_day(spark, tables):
    midnight = dt.datetime(2020, 1, 21, tzinfo=dt.UTC)
    rows = latest_windows(events_frame(spark, LOG), **tables, config=LEAVE_ONE_OUT, as_of=AS_OF).collect()
    assert {row["user_id"] for row in rows} == set(HISTORIES)
    for row in rows:
        user, history = row["user_id"], HISTORIES[row["user_id"]]
        asked = [*(e.event_time for e in history[1:]), midnight]
        steps = [_step(user, p, asked[p]) for p in range(len(history))][-6:]
        assert (row["events"], row["user_index"]) == (len(steps), USERS.get(user, 1))
        _check_arrays(row.asDict(), steps, 6)


def test_scoring_as_of_an_earlier_day_sees_nothing_of_that_day(spark, tables):
    day = dt.date(2020, 1, 8)
    rows = latest_windows(events_frame(spark, LOG), **tables, config=LEAVE_ONE_OUT, as_of=day).collect()
    assert {r["user_id"]: r["events"] for r in rows} == {
        user: min(6, n) for user, history in HISTORIES.items() if (n := sum(e.date < day for e in history))
    }


def test_without_numeric_features_and_statistics_the_arrays_are_empty_or_zero(spark, tables):
    bare = UserFeatures(tables["user_features"].rows.select("user_id", "date"), (), ())
    config, statistics = LEAVE_ONE_OUT, tables["statistics"].where("false")
    row = latest_windows(events_frame(spark, LOG), bare, tables["vocabularies"], statistics, config, AS_OF).head()
    assert (row["user_features"], row["values"]) == ([], [0.0] * 6)


def test_buckets_double_up_to_the_longest_length():
    assert length_buckets(SequencesConfig(min_length=8, max_length=50)) == [8, 16, 32, 50]
    assert length_buckets(SequencesConfig(min_length=8, max_length=32)) == [8, 16, 32]
    assert length_buckets(SequencesConfig(min_length=5, max_length=5)) == [5]
