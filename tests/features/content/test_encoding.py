import pytest

from features.content.config import default_content
from features.content.encoding import encoded_items, item_content
from features.content.fit import fit_statistics
from features.content.fitted import Fitted
from features.schema import conform
from features.sequences.config import Split
from features.sequences.splits import with_split
from features.tables import ITEM_CONTENT, ITEM_VOCABULARY, LABEL_VOCABULARY
from tests.features.rows import Event, at, events_frame, items_frame

ITEMS = {
    "a": {"categories": ["x", "y", "z"], "price": 0.0, "year": 1990.0},
    "b": {"categories": ["new", "x"], "price": 3.0, "year": 2010.0, "year_imputed": True},
    "c": {"year": 2000.0},
}


@pytest.fixture(scope="module")
def content(spark):
    events = with_split(events_frame(spark, [Event("u", item, at(day)) for day, item in enumerate("abbac", 1)]), Split())
    indices = spark.createDataFrame([("a", 2), ("b", 3), ("c", 4), ("gone", 5)], ITEM_VOCABULARY.schema)
    labels = [("categories", "x", 2), ("categories", "y", 3), ("categories", "z", 4), ("event_type", "new", 9)]
    items, fields = items_frame(spark, ITEMS), default_content(("categories", "price", "year"))
    fitted = Fitted("item_content", fit_statistics(items, fields, "item_content", 0))
    encoded = encoded_items(
        items, indices, spark.createDataFrame(labels, LABEL_VOCABULARY.schema), fields, fitted, max_categories=2
    )
    rows = conform(item_content(encoded, events), ITEM_CONTENT).collect()
    return {row["index"]: row for row in rows}


def test_every_index_has_a_row_and_padding_and_unknown_are_zeros(content):
    assert content.keys() == {0, 1, 2, 3, 4, 5}
    for index in (0, 1):
        assert (content[index]["item_id"], content[index]["categories"]) == ("", [0, 0])
        assert (content[index]["numbers"], content[index]["train_events"]) == ([0.0] * 4, 0)
        assert (content[index]["labels"], content[index]["label_weights"]) == ([], [])  # none are declared


def test_the_first_categories_are_kept_in_order_padded_and_unknown_where_new(content):
    assert [content[i]["categories"] for i in (2, 3, 4)] == [[2, 3], [1, 2], [0, 0]]


def test_numbers_are_z_scores_of_log_price_and_year_each_with_whether_it_was_observed(content):
    # log1p(0) and log1p(3) are one standard deviation from their mean; 1990 and 2000 from theirs, 2010 was imputed.
    assert content[2]["numbers"] == pytest.approx([-1, 1, -1, 1], abs=1e-5)
    assert content[3]["numbers"] == pytest.approx([1, 1, 3, 0], abs=1e-5)
    assert content[4]["numbers"] == pytest.approx([0, 0, 1, 1], abs=1e-5)


def test_an_item_that_left_the_catalogue_keeps_its_index_without_content(content):
    assert (content[5]["item_id"], content[5]["categories"], content[5]["numbers"]) == ("gone", [0, 0], [0.0] * 4)


def test_training_events_are_counted_and_events_held_back_are_not(content):
    assert [content[i]["train_events"] for i in (2, 3, 4, 5)] == [1, 2, 0, 0]  # the last a and the c are valid and test
