from __future__ import annotations

from pyspark.sql import functions as F

from features.cleaning.entities import parse_items, parse_tags, parse_users, with_superseded, with_tags
from features.source.config import ItemSource, TagSource, UserSource
from tests.features.raw import raw_frame

ITEMS = ItemSource.model_validate(
    {
        "path": "x",
        "columns": {
            "item_id": "id",
            "title": "name",
            "categories": {"from": "cats", "split": "|"},
            "price": "price",
            "media": "vector",
        },
        "attributes": ["maker"],
    }
)
FIELDS = "id string, name string, cats string, price string, vector string, maker string"


def test_an_item_is_typed_and_its_flags_say_that_nothing_was_imputed(spark):
    row = parse_items(raw_frame(spark, FIELDS, [("1", " Tea ", "a|b", "2.50", "[0.5, 1, 0.5, 1]", "x")]), ITEMS).head()
    assert (row.item_id, row.title, row.categories, row.price, row.media) == ("1", "Tea", ["a", "b"], 2.5, [0.5, 1.0, 0.5, 1.0])
    assert (row.tags, row.year, row.attributes, row.price_imputed, row.reasons) == ([], None, {"maker": "x"}, False, [])


def test_the_last_row_of_an_item_stays_and_bad_rows_are_refused_with_reasons(spark):
    rows = [
        ("1", "old", "", "1", None, ""),
        ("1", "new", "", "2", None, ""),
        ("1", "broken", "", "cheap", None, ""),  # refused, so it does not replace the good row
        ("", "nameless", "", "", None, ""),
        ("2", "t\ufffd", "", "", None, ""),
        ("3", "vector", "", "", "[1, x]", ""),
        (None,) * 6,
    ]
    parsed = with_superseded(parse_items(raw_frame(spark, FIELDS, rows, broken=[6]), ITEMS), "item_id").orderBy("row").collect()
    assert [r.reasons for r in parsed] == [
        ["item_id_duplicate"],
        [],
        ["price_malformed"],
        ["item_id_missing"],
        ["encoding_broken"],
        ["media_malformed"],
        ["line_broken"],
    ]


def test_an_item_of_an_earlier_day_is_a_duplicate_and_no_refused_row(spark):
    days = [("1", 2), ("1", 1), ("1", 2), ("2", 1), ("3", 1), ("3", 2)]
    rows = [(i, f"day {day}", "", "cheap" if (i, day) == ("3", 2) else "1", None, "") for i, day in days]
    raw = raw_frame(spark, FIELDS, rows)
    dated = raw.withColumn("file_day", F.to_date(F.concat(F.lit("2024-05-0"), F.substring("fields.name", 5, 1))))
    parsed = with_superseded(parse_items(dated, ITEMS), "item_id").orderBy("row").collect()
    assert [(r.reasons, r.duplicate) for r in parsed] == [
        (["item_id_duplicate"], None),  # of the newest day itself
        ([], "superseded"),
        ([], None),
        ([], None),
        ([], None),  # the newer row is refused, so it supersedes none
        (["price_malformed"], None),
    ]


def test_several_columns_are_indicators_or_hold_the_labels_themselves(spark):
    rows = [("1", "1", "no"), ("2", "drama|war", "Asia"), ("3", " TRUE ", None), ("4", "", "2")]
    raw = raw_frame(spark, "id string, main string, area string", rows)

    def parsed(mapping: dict) -> list[tuple]:
        columns = {"item_id": "id", "categories": {"from": ["main", "area"], **mapping}}
        items = parse_items(raw, ItemSource.model_validate({"path": "x", "columns": columns}))
        return [(r.categories, r.reasons) for r in items.orderBy("row").collect()]

    malformed = ["categories_malformed"]
    assert parsed({}) == [(["main"], []), ([], malformed), (["main"], []), ([], malformed)]
    values = [["1", "no"], ["drama", "war", "Asia"], ["TRUE"], ["2"]]
    assert parsed({"take": "values", "split": "|"}) == [(labels, []) for labels in values]


def test_a_repeat_is_a_duplicate_and_no_refused_row_where_the_last_is_declared_to_stay(spark):
    rows = [("1", "old", "", "1", None, ""), ("1", "new", "", "2", None, ""), ("1", "bad", "", "cheap", None, "")]
    parsed = parse_items(raw_frame(spark, FIELDS, rows), ITEMS)
    found = with_superseded(parsed, "item_id", repeats="last").orderBy("row").collect()
    assert [(r.reasons, r.duplicate) for r in found] == [([], "superseded"), ([], None), (["price_malformed"], None)]


def test_what_a_late_rule_refuses_makes_way_for_an_older_row_that_breaks_none(spark):
    bad, worse = ["price_outlier"], ["price_malformed"]
    rows = [("1", 1, bad), ("1", 2, []), ("1", 2, []), ("1", 3, bad), ("1", 4, bad), ("1", 5, worse)]
    rows += [("2", 1, bad), ("2", 2, bad), ("2", 2, bad)]
    days = "row bigint, item_id string, day int, reasons array<string>"
    frame = spark.createDataFrame([(n, *row) for n, row in enumerate(rows)], days).coalesce(1)
    dated = frame.selectExpr(
        "'a.csv' as file", "0 as block", "*", "cast(null as string) as duplicate", "date_add('2024-05-01', day) as file_day"
    )
    found = with_superseded(dated, "item_id", ["price_outlier"]).orderBy("row").collect()
    twice = ["item_id_duplicate"]
    assert [(r.reasons, r.duplicate) for r in found] == [
        ([], "superseded"),
        (twice, None),
        ([], None),
        (bad, None),
        (bad, None),
        (worse, None),
        ([], "superseded"),
        (twice, None),
        (bad, None),  # of an item without a good row the last one says why
    ]


def test_users_are_treated_as_items_are(spark):
    users = UserSource.model_validate({"path": "x", "columns": {"user_id": "id", "age": "age", "segment": "job"}})
    raw = raw_frame(
        spark, "id string, age string, job string", [("1", "30", "x"), ("1", "31", ""), ("2", "old", ""), ("", "1", "")]
    )
    parsed = with_superseded(parse_users(raw, users), "user_id").orderBy("row").collect()
    assert [r.reasons for r in parsed] == [["user_id_duplicate"], [], ["age_malformed"], ["user_id_missing"]]
    assert (parsed[1].age, parsed[1].segment) == (31.0, None)


def test_tags_are_counted_and_those_of_unknown_items_refused(spark):
    items = parse_items(raw_frame(spark, FIELDS, [("1", "", "", "", None, ""), ("2", "", "", "", None, "")]), ITEMS)
    source = TagSource.model_validate({"path": "x", "columns": {"item_id": "id", "tag": "tag"}})
    rows = [("1", "funny"), ("1", "dark"), ("1", "slow"), ("1", "dark"), ("9", "dark"), ("1", "")]
    tags = parse_tags(raw_frame(spark, "id string, tag string", rows), source, items)
    assert [r.reasons for r in tags.orderBy("row").collect()] == [[], [], [], [], ["item_id_unknown"], ["tag_missing"]]
    tagged = with_tags(items, tags.where("size(reasons) = 0")).orderBy("item_id").collect()
    assert [r.tags for r in tagged] == [["dark", "funny", "slow"], []]
