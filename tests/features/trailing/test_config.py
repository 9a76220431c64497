import pytest
from pydantic import TypeAdapter, ValidationError

from features.trailing.config import FeaturesConfig
from features.trailing.feature import Feature, Ratio, windows_of
from features.trailing.tables import day_table, feature_table, model_features

_declaration = TypeAdapter(Feature | Ratio)


def _feature(**declaration):
    return _declaration.validate_python(declaration)


@pytest.mark.parametrize(
    ("declaration", "names"),
    [
        ({"count": "events", "days": [7, 30]}, ["events_count_7d", "events_count_30d"]),
        ({"sum": "price", "where": {"event_type": "buy"}}, ["buy_price_sum_30d"]),
        ({"mean": "value", "where": {"event_type": ["buy", "Add to cart"]}}, ["buy_or_add_to_cart_value_mean_30d"]),
        ({"count": "events", "where": {"value": {"at_least": 3.5}}}, ["value_at_least_3_5_events_count_30d"]),
        ({"share": "context.device"}, ["device_share_30d"]),
        ({"trend": "events", "days": [7, 90]}, ["events_trend_7d_90d"]),
        ({"decayed_count": "events", "half_life": 2.5}, ["events_decayed_count_2_5d_30d"]),
        ({"last_k": "item_id", "k": 3}, ["item_id_last_3_30d"]),
        ({"sum": "value", "where": {"value": {"below": -1}}, "where_name": "refunds"}, ["refunds_value_sum_30d"]),
    ],
)
def test_names_are_computed_from_conditions_column_operation_and_window(declaration, names):
    assert list(windows_of((_feature(**declaration),))) == names


@pytest.mark.parametrize(
    ("declaration", "sentence"),
    [
        ({"count": "events", "sum": "value"}, r"exactly one of count, recency.*Received \['count', 'sum'\]"),
        ({"cuont": "events"}, r"exactly one of count, recency.*Received \['cuont'\]"),
        ({"operation": "foo", "of": "events"}, r"an operation must be one of count, recency.*Received 'foo'"),
        ({"count": "events", "where": {"hour": ["10", "9"]}}, r"where.hour must be of 00 to 23. Received \['9'\]"),
        ({"count": "events", "where": {"weekday": "Monday"}}, r"where.weekday must be of 1 to 7. Received \['Monday'\]"),
        ({"sum": "category"}, r"sum must be of one of \['price', 'value', 'year'\]. Received 'category'"),
        ({"count": "clicks"}, r"a column must be one of .*Received 'clicks'"),
        ({"share": "context.price"}, r"context.OTHER_NAME. Received 'context.price'"),
        ({"share": "context.Hour"}, r"context.OTHER_NAME. Received 'context.Hour'"),
        ({"recency": "context.x"}, r"recency must be of events. Received 'context.x'"),
        ({"last": "category"}, r"last must be of one of .*Received 'category'"),
        ({"last_k": "item_id"}, r"last_k needs k. Received k=None"),
        ({"count": "events", "half_life": 3}, r"count takes no half_life. Received half_life=3"),
        ({"trend": "events", "days": [30, 7]}, r"two windows, the short one first. Received days=\[30, 7\]"),
        ({"count": "events", "where": {"value": "buy"}}, r"where.value must be at_least and below. Received 'buy'"),
        ({"count": "events", "where": {"event_type": {"below": 3}}}, r"where.event_type must be labels"),
        ({"count": "events", "where": {"category": "Drama"}}, r"a number or a label of the event. Received 'category'"),
        ({"count": "events", "where": {"value": {}}}, r"at_least, below or both. Received none"),
        (
            {"count": "events", "where": {"value": {"at_least": 5, "below": 4}}},
            r"less than below. Received at_least=5, below=4",
        ),
        ({"count": "events", "where": {"value": {"below": float("nan")}}}, r"finite number"),
        ({"count": "events", "where": {"event_type": []}}, r"where.event_type must have a label. Received none"),
        ({"decayed_count": "events", "half_life": float("inf")}, r"finite number"),
        ({"smoothed_mean": "value", "smoothing": 1, "prior": float("nan")}, r"finite number"),
        ({"count": "events", "days": []}, r"count must have a window, such as days: \[30\]. Received none"),
        ({"count": "events", "where_name": "buy"}, r"where_name needs where, which it names. Received where_name='buy' only"),
        ({"count": "events", "days": [0]}, r"greater than 0"),
    ],
)
def test_a_mistake_in_a_declaration_is_told(declaration, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Feature.model_validate(declaration)


@pytest.mark.parametrize(
    ("user", "sentence"),
    [
        ([{"count": "events"}, {"count": "events", "days": [7, 30]}], r"declared once. Received twice: events_count_30d"),
        (
            [{"count": "events"}, {"ratio": "events_count_30d", "to": "clicks"}],
            r"of two declared numbers: .* Received clicks",
        ),
        ([{"share": "hour"}, {"ratio": "hour_share_30d", "to": "hour_share_30d"}], r"of two declared numbers: \[\]"),
        ([{"share": "context.Device"}, {"share": "context.device"}], r"than case. Received context.Device, context.device"),
        (
            [{"share": "context.Seconds"}, {"mean": "context.seconds"}],
            r"differ in more than case. Received context.Seconds, context.seconds",
        ),
        ([{"distinct": "user_id"}], r"user: a feature must not be of the key itself. Received a feature of user_id"),
    ],
)
def test_declarations_must_fit_together(user, sentence):
    with pytest.raises(ValidationError, match=sentence):
        FeaturesConfig(user=user)


@pytest.mark.parametrize(
    ("one", "other", "column"),
    [
        ({"where": {"event_type": "buy"}}, {"where": {"context.action": "Buy"}}, "buy_events"),
        ({"where": {"event_type": "Buy"}}, {"where": {"event_type": "buy"}}, "buy_events"),
        ({"where": {"event_type": "+"}}, {"where": {"event_type": "-"}}, "_events"),
        ({"where": {"value": {"at_least": 1}}}, {"where": {"value": {"at_least": -1}}}, "value_at_least_1_events"),
        ({"where": {"value": {"below": 1000001}}}, {"where": {"value": {"below": 1000002}}}, "value_below_1e_06_events"),
        ({"where": {"event_type": "device"}}, {"count": None, "share": "context.device"}, "device_events"),
    ],
)
def test_two_features_share_no_column_of_a_tile_unless_it_is_the_same_to_both(one, other, column):
    one, other = ({k: v for k, v in ({"count": "events"} | f).items() if v} for f in (one, other))
    with pytest.raises(ValidationError, match=rf"where_name names .* Received {column} of {{count: events, where: .*}} and {{"):
        FeaturesConfig(user=[one | {"days": [7]}, other | {"days": [30]}])
    FeaturesConfig(user=[one | {"days": [7], "where_name": "first"}, other | {"days": [30]}])
    FeaturesConfig(user=[one | {"days": [7]}, one | {"days": [30]}])


def test_a_zone_must_be_known():
    with pytest.raises(ValidationError, match=r"a zone must be one of the IANA's.*Received 'Mars/X'"):
        FeaturesConfig(zone="Mars/X")
    assert [FeaturesConfig(zone=zone).zone for zone in ("America/New_York", "+05:30")] == ["America/New_York", "+05:30"]


def test_sessions_are_of_users():
    with pytest.raises(ValidationError, match="item: sessions are of users"):
        FeaturesConfig(item=[{"count": "sessions"}])


def test_declarations_are_printed_as_they_are_written():
    written = {"user": [{"count": "events", "where": {"event_type": "buy"}, "days": (7,)}, {"ratio": "a", "to": "b"}]}
    feature = Feature.model_validate(written["user"][0])
    assert Feature.model_validate(feature.model_dump()) == feature
    assert next(iter(feature.model_dump(exclude_defaults=True).items())) == ("count", "events")


def test_a_comment_says_meaning_formula_unit_and_what_nothing_is():
    declared = (_feature(mean="price", where={"event_type": "buy"}, days=[7], unit="euro", description="What a user spends"),)
    comment = feature_table("user", declared).columns[-1].comment
    assert comment == (
        "What a user spends: mean price of events with event_type buy in the 7 whole days before date, in euro; "
        "null: none has one"
    )
    assert [c.name for c in day_table("user", declared).columns[3:]] == ["buy_events", "buy_price_sum", "buy_price_count"]


def test_the_model_gets_the_features_that_are_one_number():
    declared = (*[_feature(**{o: "item_id"}) for o in ("last", "distinct", "share")], _feature(mean="value"))
    assert model_features(declared) == ("item_id_distinct_30d", "value_mean_30d")
