import itertools
import math
import random

import pytest

from features.scaling import fit
from features.sequences.config import ItemValues
from features.signals.item_values import DAMPING, item_values
from tests.features.rows import Event, at, events_frame

STEP = 1 / 1024  # of a standard deviation, to which values are rounded


def _found(spark, events, items, explicit=True, **config):
    frame = events_frame(spark, events)
    vocabulary = spark.createDataFrame([(i, n) for n, i in enumerate(items, 2)], "item_id string, index int")
    statistics = fit(frame, "sequences", ["value"] if explicit else [], 0)
    found = {}
    for row in item_values(frame, vocabulary, statistics, ItemValues(**config)).collect():
        assert items[row["index"] - 2] == row["item_id"]
        assert [items[n["index"] - 2] for n in row["neighbours"]] == [n["item_id"] for n in row["neighbours"]]
        neighbours = [(n["item_id"], n["users"], pytest.approx(n["similarity"], abs=20 * STEP)) for n in row["neighbours"]]
        found[row["item_id"]] = (row["values"], pytest.approx(row["bias"], abs=STEP), neighbours)
    return found


def _z(events):
    values = [e.value for e in events if e.value is not None]
    mean = sum(values) / len(values)
    std = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
    newest = {(e.user_id, e.item_id): e.value for e in sorted(events, key=lambda e: e.event_time) if e.value is not None}
    return {pair: (value - mean) / std for pair, value in newest.items()}


def _event(n, user, item, value):
    return Event(f"u{user}", item, at(1, n), value=value, event_id=f"{n:03}")


def _damped(numbers):
    return sum(numbers) / (len(numbers) + DAMPING)


def test_biases_and_neighbours_are_those_of_a_loop_over_users(spark):
    drawn, items = random.Random(8), [f"i{n}" for n in range(7)]
    events = [_event(n, drawn.randrange(9), drawn.choice(items), drawn.uniform(1, 5)) for n in range(200)]
    events += [_event(n, drawn.randrange(9), drawn.choice(items), None) for n in range(200, 230)]
    z = _z(events)
    bias = {i: _damped([v for (_, item), v in z.items() if item == i]) for i in items}
    of_user = {u: _damped([v - bias[i] for (user, i), v in z.items() if user == u]) for u, _ in z}
    left = {(u, i): v - bias[i] - of_user[u] for (u, i), v in z.items()}
    expected = {}
    for item in items:
        similar, users = {}, {}
        for other in set(items) - {item}:
            both = [u for u in of_user if (u, item) in left and (u, other) in left]
            product = sum(left[u, item] * left[u, other] for u in both)
            if product > 0:
                lengths = math.sqrt(sum(left[u, item] ** 2 for u in both) * sum(left[u, other] ** 2 for u in both))
                similar[other], users[other] = product / lengths * len(both) / (len(both) + 4), len(both)
        best = sorted(similar, key=lambda i: -similar[i])[:3]
        expected[item] = (sum(i == item for _, i in z), bias[item], [(i, users[i], similar[i]) for i in best])
    assert len(set(itertools.chain(*[[round(n[2], 6) for n in e[2]] for e in expected.values()]))) > 5  # or it could not tell
    assert _found(spark, events, items, top=3, shrinkage=4) == expected


def test_only_the_newest_values_of_a_user_make_pairs_and_all_make_biases(spark):
    events = [Event(u, i, at(day), value=v) for u, v in (("u", 1.0), ("v", 5.0)) for day, i in enumerate("abc", 1)]
    found = _found(spark, events, ["a", "b", "c"], history=2)
    assert [found[i][0] for i in "abc"] == [2, 2, 2]
    assert [[n[0] for n in found[i][2]] for i in "abc"] == [[], ["c"], ["b"]]


@pytest.mark.parametrize("without", [{"explicit": False}, {"top": 0}])
def test_without_explicit_values_or_where_none_are_asked_for_there_are_none(spark, without):
    events = [Event("u", i, at(1), value=float(n), tie_order=n) for n, i in enumerate("abc")]
    assert _found(spark, events, ["a", "b", "c"], **without) == {}
