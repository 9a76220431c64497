import statistics

import pytest

from features.schema import conform
from features.trailing.config import FeaturesConfig
from features.trailing.feature import Feature
from features.trailing.tables import day_table
from features.trailing.tiles import day_tiles
from tests.features.rows import Event, at, events_frame, items_frame

EVENTS = [
    Event("u", "i1", at(1, 3), "view", 2.0),
    Event("u", "i1", at(1, 4), "buy", None),
    Event("u", "i2", at(1, 5), "buy", 5.0),
    Event("u", "i3", at(1, 6), "view", 1.0),
    Event("u", "i1", at(2), "view", None),
    Event("w", "i9", at(1), "buy", 3.0),
]
ITEMS = {"i1": {"categories": ["a", "b"]}, "i2": {"categories": ["b"]}, "i3": {}}


def _mean(*types):
    return Feature(mean="value", where={"event_type": types} if types else {})


def _share(*types):
    return Feature(share="category", where={"event_type": types} if types else {})


def _tiles(spark, features, entity="user"):
    config = FeaturesConfig(**{entity: features})
    tiles = day_tiles(events_frame(spark, EVENTS), items_frame(spark, ITEMS), entity, config)
    return {(r[0], r["date"].day): r.asDict() for r in conform(tiles, day_table(entity, features)).collect()}


def test_a_tile_counts_each_event_once_however_many_categories_its_item_has(spark):
    tiles = _tiles(spark, (_mean(), _share()))
    assert (tiles["u", 1]["events"], tiles["u", 1]["value_sum"], tiles["u", 1]["value_count"]) == (4, 8.0, 3)
    assert tiles["u", 1]["category_events"] == {"a": 2, "b": 3}


def test_a_tile_of_items_without_categories_and_values_is_empty_and_not_null(spark):
    tiles = _tiles(spark, (_mean(), _share()))
    assert tiles["w", 1]["category_events"] == {}  # i9 is in no catalogue
    assert (tiles["u", 2]["value_sum"], tiles["u", 2]["value_count"]) == (0.0, 0)


def test_a_measure_of_one_event_type_leaves_the_others_out(spark):
    tiles = _tiles(spark, (_mean("buy"), _share("buy")))
    assert (tiles["u", 1]["buy_events"], tiles["u", 1]["buy_value_sum"]) == (2, 5.0)
    assert tiles["u", 1]["buy_category_events"] == {"a": 1, "b": 2}
    assert (tiles["u", 2]["buy_events"], tiles["u", 2]["buy_category_events"]) == (0, {})


def test_a_context_may_have_any_name_also_that_of_a_column_of_the_events(spark):
    names = ("date", "event_time", "label", "label_column", "session_begins")
    events = [Event("u", "i1", at(1), context=dict.fromkeys(names, "x"))]
    declared = (*[Feature(share=f"context.{name}") for name in names], Feature(last="context.label"), Feature(count="sessions"))
    tile = day_tiles(events_frame(spark, events), items_frame(spark, {}), "user", FeaturesConfig(user=declared)).head()
    assert [tile[f"{name}_events"] for name in names] == [{"x": 1}] * len(names)
    assert (tile["date"], tile["sessions"], tile["label_last"]["value"]) == (at(1).date(), 1, "x")


def test_text_of_the_context_that_is_no_finite_number_is_none(spark):
    texts = ("NaN", "Infinity", "-inf", "1d", "0x1p3", "soon", "", "2.5", "-1e3")
    events = [Event("u", "i1", at(1, n), context={"dwell": text}) for n, text in enumerate(texts)]
    declared = (Feature(std="context.dwell"), Feature(count="events", where={"context.dwell": {"at_least": 0}}))
    tile = day_tiles(events_frame(spark, events), items_frame(spark, {}), "user", FeaturesConfig(user=declared)).head()
    assert (tile["dwell_count"], tile["dwell_sum"]) == (2, 2.5 - 1e3)
    assert tile["dwell_variance"] == pytest.approx(statistics.pvariance([2.5, -1e3]))
    assert tile["context_dwell_at_least_0_events"] == 1


def test_item_tiles_have_a_row_for_each_item_and_day(spark):
    tiles = _tiles(spark, (Feature(count="events"),), "item")
    assert {key: tile["events"] for key, tile in tiles.items()} == {
        ("i1", 1): 2,
        ("i2", 1): 1,
        ("i3", 1): 1,
        ("i1", 2): 1,
        ("i9", 1): 1,
    }


def test_without_features_a_tile_says_only_that_there_was_an_event(spark):
    assert set(_tiles(spark, ())) == {("u", 1), ("u", 2), ("w", 1)}
