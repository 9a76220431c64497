import itertools
import math
import random
from collections import Counter

import pytest

from features.sequences.config import Neighbours
from features.signals.neighbours import item_neighbours
from tests.features.rows import Event, at, events_frame


def _found(spark, events, **config):
    rows = item_neighbours(events_frame(spark, events), Neighbours(**config)).collect()
    return {(r["item_id"], r["rank"]): (r["neighbour_id"], r["users"], pytest.approx(r["similarity"])) for r in rows}


def _event(n, user, item):
    return Event(f"u{user}", f"i{item}", at(1 + n % 20, n % 24), event_id=f"e{n:03}")


def test_neighbours_are_those_of_a_loop_over_users(spark):
    drawn = random.Random(3)
    events = [_event(n, drawn.randrange(8), drawn.randrange(6)) for n in range(60)]
    items = {u: {e.item_id for e in events if e.user_id == u} for u in {e.user_id for e in events}}
    alone = Counter(i for chosen in items.values() for i in chosen)
    both = Counter(pair for chosen in items.values() for pair in itertools.permutations(chosen, 2))
    expected = {}
    for item in alone:
        similar = {b: n / math.sqrt(alone[a] * alone[b]) * n / (n + 3) for (a, b), n in both.items() if a == item}
        best = sorted(similar, key=lambda b: (-similar[b], b))[:4]
        expected |= {(item, rank): (b, both[item, b], similar[b]) for rank, b in enumerate(best, 1)}
    assert _found(spark, events, top=4, shrinkage=3, history=50) == expected


def test_only_the_newest_items_of_a_user_count(spark):
    events = [Event("u", item, at(day), event_id=f"e{day}") for day, item in enumerate(["a", "b", "c", "a"], 1)]
    found = _found(spark, events, top=5, shrinkage=0, history=2)
    assert found == {("a", 1): ("c", 1, 1.0), ("c", 1): ("a", 1, 1.0)}


def test_where_none_are_asked_for_there_are_none(spark):
    assert _found(spark, [_event(n, 0, n) for n in range(3)], top=0) == {}
