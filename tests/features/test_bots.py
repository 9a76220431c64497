from __future__ import annotations

from features.bots import with_bots
from features.clean_config import Duplicates
from features.duplicates import with_duplicate
from tests.features.raw import event_frame

DAY = 86400


def test_only_the_day_above_the_cap_is_refused_and_repeats_do_not_count(spark):
    rows = [{"second": s} for s in (0, 10, 20)]  # three events: above the cap of two
    rows += [{"second": DAY + s} for s in (0, 10)]  # the user's next day: at the cap
    rows += [{"user_id": "v", "second": s} for s in (0, 0, 10)]  # two events, one of them twice
    rows += [{"user_id": "w", "second": s} for s in (0, 10)] + [{"user_id": "w", "second": 20, "reasons": ["value_malformed"]}]
    marked = with_bots(with_duplicate(event_frame(spark, rows), Duplicates()), 2).orderBy("row").collect()
    assert [r.reasons for r in marked] == [["bot"]] * 3 + [[]] * 2 + [[]] * 3 + [[], [], ["value_malformed"]]


def test_without_a_cap_nobody_is_a_bot(spark):
    events = event_frame(spark, [{}])
    assert with_bots(events, None) is events
