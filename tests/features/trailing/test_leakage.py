"""Each kind of leak is put into feature rows that are right otherwise, and is found by name."""

import datetime as dt

import pytest
from pyspark.sql import Window
from pyspark.sql import functions as F

from features.errors import LeakageError
from features.trailing.as_of import TILE_DATE, features_as_of
from features.trailing.config import FeaturesConfig
from features.trailing.feature import Feature
from features.trailing.leakage import check_features
from features.trailing.tiles import day_tiles
from features.trailing.windows import every_key, trailing_features
from tests.features.rows import Event, at, events_frame, items_frame, random_events

AS_OF = dt.date(2020, 1, 21)
DECLARED = (
    Feature(count="events", days=(3, 30)),
    Feature(sum="value", days=(30,)),
    Feature(mean="value", days=(30,)),
    Feature(recency="events", days=(30,)),
    Feature(frequency="events", days=(30,), where={"event_type": "buy"}),
    Feature(share="item_id", days=(30,)),
    Feature(last="item_id", days=(30,)),
    Feature(distinct_sketch="item_id", days=(30,)),
)


@pytest.fixture(scope="module")
def features(spark):
    events = events_frame(spark, random_events(seed=2, users=5, items=4, events=80, days=20))
    items = items_frame(spark, {})
    tiles = day_tiles(events, items, "user", FeaturesConfig(user=DECLARED))
    rows = trailing_features(tiles, every_key(tiles, "user", AS_OF), "user", DECLARED)
    return rows.cache(), events.cache(), items


def _check(rows, events, items, declared=DECLARED):
    check_features(rows, events, items, "user", FeaturesConfig(user=declared))


def test_features_of_whole_days_before_pass(features):
    _check(*features)


def test_a_feature_row_that_holds_its_own_day_is_found(features):
    rows, *sources = features
    leaky = rows.withColumn("events_count_30d", F.col("events_count_30d") + (F.col("date") == "2020-01-10").cast("int"))
    with pytest.raises(LeakageError, match=r"user_features: events_count_30d .*user_id=u\d at 2020-01-10 holds"):
        _check(leaky, *sources)


@pytest.mark.parametrize("feature", DECLARED, ids=lambda f: f.operation)
def test_a_window_that_ends_a_day_too_late_is_found_in_every_operation(features, feature):
    rows, *sources = features
    with pytest.raises(
        LeakageError, match=rf"user_features: \w+_{feature.operation}_\d+d must hold whole days before date alone"
    ):
        _check(rows.withColumn("date", F.date_sub("date", 1)), *sources, declared=(feature,))


def test_a_feature_whose_code_reads_the_future_is_found(features, monkeypatch):
    """The build and the guard share the code of columns; here it gives every event the value of the user's next one."""

    def with_next_value(events, *_):
        user = Window.partitionBy("user_id").orderBy("event_time", "tie_order")
        return events.withColumn("value", F.lead("value").over(user))

    declared, (_, events, items) = (Feature(max="value", days=(30,)),), features
    monkeypatch.setattr("features.trailing.tiles.with_event_columns", with_next_value)
    monkeypatch.setattr("features.trailing.leakage.with_event_columns", with_next_value)
    tiles = day_tiles(events, items, "user", FeaturesConfig(user=declared))
    rows = trailing_features(tiles, every_key(tiles, "user", AS_OF), "user", declared)
    with pytest.raises(LeakageError, match=r"value_max_30d must hold whole days before date alone.*hold 1\.0E12"):
        _check(rows, events, items, declared)


@pytest.mark.parametrize(
    "feature",
    [
        Feature(count="events", where={"event_type": "buy"}),
        Feature(share="event_type"),
        Feature(share="context.device"),
        Feature(mean="context.seconds"),
        Feature(count="events", where={"context.device": "web"}),
    ],
    ids=lambda f: "_".join((f.operation, *f.columns_read)),
)
def test_a_feature_of_types_or_of_the_context_alone_is_found_where_build_and_guard_read_the_same_day(
    features, monkeypatch, feature
):
    def up_to_the_day_itself(days):
        return (F.col(TILE_DATE) <= F.col("date")) & (F.col(TILE_DATE) >= F.date_sub("date", days))

    _, events, items = features
    events = events.withColumn("context", F.create_map(*map(F.lit, ("device", "web", "seconds", "2.5"))))
    monkeypatch.setattr("features.trailing.as_of._within", up_to_the_day_itself)
    tiles = day_tiles(events, items, "user", FeaturesConfig(user=(feature,)))
    rows = features_as_of(tiles, tiles.select("user_id", "date"), "user", (feature,))
    with pytest.raises(LeakageError, match=r"user_features: \w+ must hold whole days before date alone"):
        _check(rows, events, items, (feature,))


def test_a_category_that_sees_its_own_day_is_found(spark):
    events = events_frame(spark, random_events(seed=2, users=5, items=4, events=80, days=20))
    items = items_frame(spark, {f"i{n}": {"categories": ["a", "b"][: n + 1]} for n in range(3)})
    config = FeaturesConfig(category=(Feature(smoothed_mean="value", smoothing=2, prior=3, days=(30,)),))
    tiles = day_tiles(events, items, "category", config)
    rows = trailing_features(tiles, every_key(tiles, "category", AS_OF), "category", config.category)
    check_features(rows, events, items, "category", config)
    with pytest.raises(LeakageError, match=r"category_features: value_smoothed_mean_30d must .*category_id=[ab] at"):
        check_features(rows.withColumn("date", F.date_sub("date", 1)), events, items, "category", config)


def test_a_sketch_may_differ_by_its_error_where_events_lie_in_other_partitions(spark):
    events = (
        events_frame(spark, [Event("u", "", at(1))])
        .drop("item_id")
        .crossJoin(spark.range(20_000).select(F.concat(F.lit("i"), "id").alias("item_id"), F.col("id").alias("n")))
    )
    events = events.withColumns({"event_id": F.col("item_id"), "tie_order": F.col("n").cast("int")}).drop("n").cache()
    config = FeaturesConfig(user=(Feature(distinct_sketch="item_id", days=(30,)),))
    stored = []
    for partitions in (1, 8):
        tiles = day_tiles(events.repartition(partitions), items_frame(spark, {}), "user", config)
        rows = trailing_features(tiles, every_key(tiles, "user", AS_OF), "user", config.user)
        check_features(rows, events.coalesce(1), items_frame(spark, {}), "user", config)
        stored.append(rows.where(F.col("date") == AS_OF).head()["item_id_distinct_sketch_30d"])
    assert stored[0] != stored[1]
    assert stored == pytest.approx([20_000] * 2, rel=Feature(distinct_sketch="item_id").op.tolerance)


def test_without_features_there_is_nothing_to_find(features):
    rows, *sources = features
    _check(rows.select("user_id", "date"), *sources, declared=())
