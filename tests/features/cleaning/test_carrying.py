from __future__ import annotations

from features.cleaning.carrying import with_carried_forward
from features.cleaning.config import Duplicates, Impute
from features.cleaning.duplicates import with_duplicate
from tests.features.raw import event_frame


def rule(column: str, by: str | None = None) -> Impute:
    return Impute.model_validate({"column": column, "with": "carried_forward", "by": by})


def test_a_missing_value_is_the_users_last_known_one_in_time_order(spark):
    rows = [
        {"second": 3, "item_id": "c"},  # gets that of second 2, though it stands first in the file
        {"second": 0, "item_id": "a"},  # nothing before it
        {"second": 1, "value": 1.0, "context": {"d": "web"}},
        {"second": 2, "value": 2.0, "event_type": "buy"},
        {"second": 1.5, "value": 9.0, "reasons": ["value_outlier"]},  # refused: not to be believed
        {"second": 9, "user_id": "v"},
    ]
    events = with_duplicate(event_frame(spark, rows), Duplicates())
    plain = with_carried_forward(events, [rule("value"), rule("context.d")]).orderBy("row").collect()
    assert [r.value for r in plain] == [2.0, None, 1.0, 2.0, 9.0, None]
    assert plain[0].context == {"value_imputed": "carried_forward", "d": "web", "d_imputed": "carried_forward"}
    assert [r.context for r in plain[1:]] == [{}, {"d": "web"}, {"d": "web", "d_imputed": "carried_forward"}, {}, {}]
    by_type = with_carried_forward(events, [rule("value", by="event_type")]).orderBy("row").collect()
    assert [r.value for r in by_type] == [1.0, None, 1.0, 2.0, 9.0, None]
