import itertools
import random
from collections import Counter

import pytest

from features.sequences.config import Transitions
from features.signals.transitions import item_transitions
from tests.features.rows import Event, at, events_frame


def _found(spark, events, items, **config):
    vocabulary = spark.createDataFrame([(i, n) for n, i in enumerate(items, 2)], "item_id string, index int")
    rows = item_transitions(events_frame(spark, events), vocabulary, Transitions(**config)).collect()
    for row in rows:
        assert (items[row["index"] - 2], items[row["next_index"] - 2]) == (row["item_id"], row["next_item_id"])
    return {(r["reach"], r["item_id"], r["rank"]): (r["next_item_id"], r["events"], pytest.approx(r["share"])) for r in rows}


@pytest.mark.parametrize(("reach", "fading"), [((1,), 0.8), ((1, 4), 0.5)])
def test_transitions_are_those_of_a_walk_along_each_history(spark, reach, fading):
    drawn, items = random.Random(5), [f"i{n}" for n in range(5)]
    walks = {f"u{u}": [drawn.choice(items) for _ in range(drawn.randrange(1, 12))] for u in range(9)}
    events = [
        Event(u, i, at(1 + n // 24, n % 24), event_id=f"{u}-{n:03}") for u, walk in walks.items() for n, i in enumerate(walk)
    ]
    drawn.shuffle(events)
    expected = {}
    for one in reach:
        times, weights = Counter(), Counter()
        for walk in walks.values():
            for (m, a), (n, b) in itertools.combinations(enumerate(walk), 2):
                if n - m <= one:
                    times[a, b] += 1
                    weights[a, b] += fading ** (n - m - 1)
        for item in items:
            following = {b: w for (a, b), w in weights.items() if a == item}
            best = sorted(following, key=lambda b: (-following[b], b))[:3]
            shares = {b: following[b] / (sum(following.values()) + 4) for b in best}
            expected |= {(one, item, rank): (b, times[item, b], shares[b]) for rank, b in enumerate(best, 1)}
    assert _found(spark, events, items, top=3, shrinkage=4, reach=reach, fading=fading) == expected


def test_the_last_event_of_one_user_is_not_followed_by_the_first_of_another(spark):
    events = [Event("u", "a", at(1)), Event("v", "b", at(2))]
    assert _found(spark, events, ["a", "b"]) == {}
