from features.cleaning.config import CleanConfig
from features.source.config import SourceConfig
from features.trailing.dictionary import entries
from features.trailing.feature import Feature, Ratio
from features.trailing.tables import feature_table

SOURCE = SourceConfig.model_validate(
    {
        "events": {
            "path": "x",
            "columns": {
                **{"user_id": "u", "item_id": "i", "event_time": "t", "event_type": "action"},
                **{"value": "stars", "session_id": "visit"},
            },
            "context": ["device"],
        },
        "items": {"path": "y", "columns": {"item_id": "i", "price": "cost", "categories": {"from": ["Drama", "Crime"]}}},
    }
)
CLEAN = CleanConfig.model_validate(
    {
        "impute": [{"column": "value", "with": "carried_forward"}, {"column": "context.device", "with": "carried_forward"}],
        "outliers": [{"column": "value", "then": "clip"}],
    }
)
DECLARED = (
    Feature(sum="price", where={"event_type": "buy"}, days=(7, 30), unit="euro", description="Spent"),
    Feature(share="category", days=(30,)),
    Feature(last="context.device", days=(30,)),
    Feature(share="hour", days=(30,)),
    Feature(count="sessions", where={"context.value_imputed": "carried_forward"}, where_name="filled", days=(30,)),
    Feature(mean="context.value_before_clipping", where={"context.device_imputed": "carried_forward"}, where_name="known"),
    Ratio(ratio="buy_price_sum_7d", to="buy_price_sum_30d"),
)


def _entries():
    return {e.name: e for e in entries("user", DECLARED, SOURCE, CLEAN.marks)}


def test_there_is_an_entry_for_each_column_and_the_column_is_commented_with_it():
    columns = {c.name: c for c in feature_table("user", DECLARED).columns[3:]}
    assert list(_entries()) == list(columns)
    for name, entry in _entries().items():
        assert entry.type == columns[name].type
        assert all(text in columns[name].comment for text in (entry.description, entry.formula, entry.unit, entry.empty))


def test_the_lineage_goes_from_the_raw_columns_to_the_feature():
    lineage = {name: entry.lineage for name, entry in _entries().items()}
    assert lineage["buy_price_sum_7d"] == (
        ("items file.cost", "events file.action"),
        ("items.price", "events.event_type"),
        ("user_days.buy_price_sum",),
        ("user_features.buy_price_sum_7d",),
    )
    assert lineage["category_share_30d"][0] == ("items file.Drama", "items file.Crime")
    assert lineage["device_last_30d"][:2] == (("events file.device",), ("events.context[device]",))
    assert lineage["hour_share_30d"][:2] == (("events file.t",), ("events.event_time",))


def test_what_cleaning_notes_in_the_context_comes_from_the_column_that_it_is_about():
    lineage = {name: entry.lineage for name, entry in _entries().items()}
    assert lineage["filled_sessions_count_30d"][:2] == (
        ("events file.t", "events file.visit", "events file.stars"),
        ("events.event_time", "events.session_id", "events.context[value_imputed]"),
    )
    assert lineage["known_value_before_clipping_mean_30d"][:2] == (
        ("events file.stars", "events file.device"),
        ("events.context[value_before_clipping]", "events.context[device_imputed]"),
    )


def test_a_ratio_comes_from_its_two_features():
    ratio = _entries()["buy_price_sum_7d_per_buy_price_sum_30d"]
    assert ratio.lineage[-2:] == (
        ("user_features.buy_price_sum_7d", "user_features.buy_price_sum_30d"),
        ("user_features.buy_price_sum_7d_per_buy_price_sum_30d",),
    )
    assert ratio.lineage[2] == ("user_days.buy_price_sum",)
