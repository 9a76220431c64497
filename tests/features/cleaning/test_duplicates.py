from __future__ import annotations

import hashlib

import pytest

from features.cleaning.config import Duplicates
from features.cleaning.duplicates import is_kept, with_duplicate, with_event_id, with_tie_order
from tests.features.raw import event_frame


def duplicates(spark, rows: list[dict], **rule: object) -> list[str | None]:
    labelled = with_duplicate(event_frame(spark, rows).repartition(2, "user_id"), Duplicates.model_validate(rule))
    return [r.duplicate for r in labelled.orderBy("row").collect()]


def test_the_latest_row_stays_and_the_others_are_exact_or_conflicting(spark):
    rows = [{"value": 3.0}, {"value": 4.0}, {"value": 3.0}, {"value": 3.0, "item_id": "other"}]
    assert duplicates(spark, rows) == ["exact", "conflicting", None, None]


def test_the_first_row_stays_where_the_rule_says_so(spark):
    rows = [{"value": 3.0}, {"value": 4.0}, {"value": 3.0}]
    assert duplicates(spark, rows, keep="first") == [None, "conflicting", "exact"]


def test_rows_that_differ_in_context_or_session_only_conflict(spark):
    assert duplicates(spark, [{"context": {"d": "web"}}, {"context": {"d": "app"}}]) == ["conflicting", None]
    assert duplicates(spark, [{"session_id": "1"}, {"session_id": None}]) == ["conflicting", None]


def test_a_refused_row_neither_is_nor_makes_a_duplicate(spark):
    assert duplicates(spark, [{}, {"reasons": ["value_malformed"]}]) == [None, None]


def test_keys_without_time_keep_one_event_per_user_and_item(spark):
    rows = [{"second": 0}, {"second": 900}, {"second": 1800, "user_id": "v"}]
    assert duplicates(spark, rows, keys=["user_id", "item_id"]) == ["conflicting", None, None]


def test_rows_without_an_event_id_repeat_each_other_only_at_the_same_instant(spark):
    keys = ["user_id", "item_id", "event_id"]
    rows = [{"event_id": "e", "second": 0}, {"event_id": "e", "second": 1}, {"second": 2}, {"second": 3}, {"second": 3}]
    assert duplicates(spark, rows, keys=keys) == ["conflicting", None, None, "exact", None]
    named = with_event_id(event_frame(spark, rows[2:4]), keys).collect()
    assert len({r.event_id for r in named}) == 2


def test_a_chain_of_near_repeats_is_its_first_event(spark):
    # 0 1.5 3 are a chain; 5.001 is more than two seconds after 3; another type, item or user is another chain
    rows = [{"second": s} for s in (3, 0, 5.001, 1.5)] + [{"second": 1, "event_type": "buy"}, {"second": 1, "user_id": "v"}]
    assert duplicates(spark, rows, near_seconds=2) == ["near", None, None, "near", None, None]


def test_near_repeats_are_searched_among_rows_that_are_no_other_duplicates(spark):
    assert duplicates(spark, [{}, {}, {"second": 1}], near_seconds=2) == ["exact", None, "near"]


def test_near_seconds_0_finds_none(spark):
    assert duplicates(spark, [{}, {"second": 0.001}]) == [None, None]


def test_ties_are_numbered_in_source_order_among_kept_rows(spark):
    rows = [
        {"item_id": "c"},
        {"item_id": "a"},
        {"item_id": "a"},
        {"item_id": "b", "reasons": ["bot"]},
        {"item_id": "z"},
        {"second": 1},
    ]
    ordered = with_tie_order(with_duplicate(event_frame(spark, rows), Duplicates())).where(is_kept()).orderBy("row")
    assert [(r.item_id, r.tie_order) for r in ordered.collect()] == [("c", 0), ("a", 1), ("z", 2), ("i", 0)]


def test_what_runs_over_two_days_keep_has_two_ids_though_the_keys_agree(spark):
    keys, days = ["user_id", "item_id"], [{}, {"second": 86_400}, {"second": 86_400, "event_type": "buy"}]
    assert len({r.event_id for r in with_event_id(event_frame(spark, days), keys).collect()}) == 3


def test_an_event_has_the_source_id_or_one_of_its_keys_type_and_time_alone(spark):
    rows = [
        {"event_id": "from-source"},
        {"value": 1.0},
        {"value": 2.0},
        {"user_id": "ui", "item_id": ""},
        {"user_id": "u", "item_id": "i"},
    ]
    named = with_event_id(event_frame(spark, rows), ["user_id", "item_id", "event_time"]).orderBy("row").collect()
    micros = 1_714_564_800_000_000
    expected = hashlib.md5(f"1:u:1:i:{len(str(micros))}:{micros}:4:view".encode()).hexdigest()  # noqa: S324
    assert [r.event_id for r in named[:3]] == ["from-source", expected, expected]
    assert named[3].event_id != expected


@pytest.mark.parametrize("keep", ["latest", "first"])
def test_the_row_that_stays_does_not_depend_on_how_rows_are_spread(spark, keep):
    rows = [{"value": float(i % 3), "user_id": f"u{i % 4}"} for i in range(40)]
    rule = Duplicates(keep=keep)
    one = with_duplicate(event_frame(spark, rows).coalesce(1), rule).where(is_kept())
    many = with_duplicate(event_frame(spark, rows).repartition(3), rule).where(is_kept())
    expected = set(range(36, 40)) if keep == "latest" else set(range(4))
    assert {r.row for r in one.collect()} == {r.row for r in many.collect()} == expected
