from __future__ import annotations

from features.cleaning.caps import with_caps
from features.cleaning.config import Cap, Duplicates
from features.cleaning.duplicates import with_duplicate
from tests.features.raw import event_frame

DAY = 86400


def test_only_the_day_above_the_cap_is_refused_and_repeats_do_not_count(spark):
    rows = [{"second": s} for s in (0, 10, 20)]  # three events: above the cap of two
    rows += [{"second": DAY + s} for s in (0, 10)]  # the user's next day: at the cap
    rows += [{"user_id": "v", "second": s} for s in (0, 0, 10)]  # two events, one of them twice
    rows += [{"user_id": "w", "second": s} for s in (0, 10)] + [{"user_id": "w", "second": 20, "reasons": ["value_malformed"]}]
    marked = with_caps(with_duplicate(event_frame(spark, rows), Duplicates()), [Cap(per_day=2)]).orderBy("row").collect()
    assert [r.reasons for r in marked] == [["bot"]] * 3 + [[]] * 2 + [[]] * 3 + [[], [], ["value_malformed"]]


def test_without_a_cap_nobody_is_a_bot(spark):
    events = event_frame(spark, [{}])
    assert with_caps(events, []) is events


def test_the_events_after_the_first_of_an_items_day_are_refused(spark):
    rows = [{"user_id": f"u{n}", "second": 10 - n} for n in range(4)] + [{"user_id": "x", "second": DAY}]
    capped = with_caps(with_duplicate(event_frame(spark, rows), Duplicates()), [Cap(key="item_id", per_day=2, refuse="excess")])
    over = ["item_id_over_cap"]
    assert [r.reasons for r in capped.orderBy("row").collect()] == [over, over, [], [], []]
