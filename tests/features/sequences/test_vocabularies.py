from pyspark.sql import functions as F

from features.schema import conform
from features.sequences.config import Split
from features.sequences.splits import with_split
from features.sequences.vocabularies import items_in_order, labels_in_order, new_entries, users_in_order
from features.tables import ITEM_VOCABULARY, LABEL_VOCABULARY
from tests.features.rows import Event, at, events_frame, items_frame


def _events(spark, *events):
    return with_split(events_frame(spark, events), Split())


def _numbered(old, found, keys, order):
    return {tuple(r[k] for k in keys): r["index"] for r in new_entries(old, found, keys, order).collect()}


def test_items_are_numbered_from_two_by_first_event_then_id_and_the_catalogue_last(spark):
    events = _events(
        spark, Event("u", "z", at(1)), Event("u", "c", at(2)), Event("w", "b", at(2)), Event("w", "z", at(3), tie_order=1)
    )
    found = items_in_order(events, items_frame(spark, {"a": {}, "z": {}}))
    empty = spark.createDataFrame([], ITEM_VOCABULARY.schema)
    order = [F.asc_nulls_last("first_seen"), F.asc("item_id")]
    assert _numbered(empty, found, ["item_id"], order) == {("z",): 2, ("b",): 3, ("c",): 4, ("a",): 5}
    conform(new_entries(empty, found, ["item_id"], order), ITEM_VOCABULARY)


def test_what_is_known_keeps_its_index_and_what_is_new_follows_the_last_one(spark):
    events = _events(spark, Event("u", "old", at(5)), Event("u", "new", at(1)), Event("w", "newer", at(2)))
    old = spark.createDataFrame([("old", 2), ("gone", 7)], ITEM_VOCABULARY.schema)
    found = items_in_order(events, items_frame(spark, {}))
    order = [F.asc_nulls_last("first_seen"), F.asc("item_id")]
    assert _numbered(old, found, ["item_id"], order) == {("new",): 8, ("newer",): 9}


def test_only_the_training_period_makes_entries(spark):
    events = _events(spark, Event("u", "a", at(1)), Event("u", "b", at(2), "view"), Event("u", "c", at(3), "buy"))
    assert {r["item_id"] for r in items_in_order(events, items_frame(spark, {"k": {}})).collect()} == {"a", "k"}
    assert {r["label"] for r in labels_in_order(events, items_frame(spark, {})).collect()} == {"view"}
    assert [r["user_id"] for r in users_in_order(events).collect()] == ["u"]


def test_an_item_needs_as_many_training_events_as_are_asked_for(spark):
    walk = [Event("u", item, at(day)) for day, item in enumerate("aabbb", 1)]  # the last two are held back
    events, catalogue = _events(spark, *walk), items_frame(spark, {"k": {}})
    found = {least: {r["item_id"] for r in items_in_order(events, catalogue, least).collect()} for least in (0, 1, 2, 3)}
    assert found == {0: {"a", "b", "k"}, 1: {"a", "b"}, 2: {"a"}, 3: set()}


def test_labels_are_numbered_within_their_column(spark):
    events = _events(spark, Event("u", "a", at(1), "view"), Event("w", "a", at(1), "buy"))
    found = labels_in_order(events, items_frame(spark, {"a": {"categories": ["y", "x"]}, "b": {"categories": ["x"]}}))
    old = spark.createDataFrame([("categories", "w", 4)], LABEL_VOCABULARY.schema)
    assert _numbered(old, found, ["column", "label"], [F.asc("label")]) == {
        ("categories", "x"): 5,
        ("categories", "y"): 6,
        ("event_type", "buy"): 2,
        ("event_type", "view"): 3,
    }
