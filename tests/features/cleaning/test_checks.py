from __future__ import annotations

import pytest
from pydantic import ValidationError

from features.cleaning.checks import with_checks
from features.cleaning.config import Check
from tests.features.raw import event_frame


def check(**rule: object) -> Check:
    return Check.model_validate(rule)


def test_each_rule_adds_its_reason_and_null_keeps_every_rule(spark):
    events = event_frame(
        spark,
        [
            {"value": 5.0, "session_id": "s1"},
            {"value": 5.5},
            {"value": None, "session_id": None},
            {"event_type": "nap"},
            {"session_id": "x"},
            {"item_id": "nowhere"},
            {"item_id": None, "reasons": ["item_id_missing"]},
            {"item_id": None, "value": 9.0, "reasons": ["line_broken"]},
            {"item_id": "nowhere", "value": 0.0},
        ],
    )
    checks = [
        check(column="value", between=[0.5, 5]),
        check(column="event_type", one_of=["view", "buy"]),
        check(column="session_id", matches=r"^s\d$"),
        check(column="item_id", refers_to="items"),
    ]
    checked = with_checks(events, checks, {"items": spark.createDataFrame([("i",), ("j",)], "item_id string")})
    assert [r.reasons for r in checked.orderBy("row").collect()] == [
        [],
        ["value_out_of_range"],
        [],
        ["event_type_not_allowed"],
        ["session_id_mismatch"],
        ["item_id_unknown"],
        ["item_id_missing"],
        ["line_broken"],
        ["value_out_of_range", "item_id_unknown"],
    ]


def test_a_check_that_warns_refuses_nothing(spark):
    checked = with_checks(
        event_frame(spark, [{"value": 9.0}]), [check(column="value", between=[0, 5], otherwise="warn")], {}
    ).head()
    assert (checked.reasons, checked.warnings) == ([], ["value_out_of_range"])


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"column": "event_type", "one_of": []}, "one_of must have a value that event_type may have. Received none."),
        ({"column": "user_id", "refers_to": "items"}, "only item_id of events refers to items. Received user_id of events."),
        (
            {"column": "item_id", "between": [0, 1]},
            "between is the rule for a number (value), and for no other. Received column=item_id.",
        ),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_a_sentence(rule, sentence):
    with pytest.raises(ValidationError) as error:
        Check.model_validate(rule)
    assert sentence in str(error.value)
