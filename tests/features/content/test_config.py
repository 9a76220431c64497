import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from features.content.config import ContentConfig, default_content, label_fields, number_fields
from features.content.fields import Bucket, Cross, Labels, Number, Text, Vector
from features.content.numbers import number_names

EVERYTHING = {
    "item": [
        {"labels": "categories"},
        {"labels": "tags", "slots": 3},
        {"labels": "attributes.brand"},
        {"number": "price", "scale": ["log", "quantile"], "by": "categories"},
        {"number": "age", "scale": "min_max"},
        {"bucket": "price", "edges": [5, 10]},
        {"cross": ["categories", "price_bucket"], "size": 50},
        {"text": ["title", "text"], "size": 4},
        {"vector": "media", "size": 8, "reduce_to": 2, "with": "svd"},
    ],
    "user": [{"labels": "segment"}, {"number": "age"}, {"bucket": "age", "quantiles": 4}],
}


def test_what_is_declared_is_read_and_written_in_the_same_words():
    config = ContentConfig.model_validate(EVERYTHING)
    assert ContentConfig.model_validate(config.model_dump(mode="json", by_alias=True)) == config
    assert [f.name for f in label_fields(config.item)] == ["tags", "brand", "price_bucket", "categories_x_price_bucket"]
    assert [f.name for f in number_fields(config.item)] == ["price", "age", "title_and_text", "media"]
    assert config.attributes("item") == {"brand"}


def test_each_number_has_a_name():
    names = number_names(ContentConfig.model_validate(EVERYTHING).item)
    assert names == [
        "price_log", "price_quantile", "price_known", "age_min_max", "age_known",
        *[f"title_and_text_{n}" for n in range(4)], "title_and_text_known", "media_0", "media_1", "media_known",
    ]  # fmt: skip


def test_the_example_in_the_documentation_is_accepted():
    text = (Path(__file__).parents[3] / "docs" / "content.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    config = ContentConfig.model_validate(yaml.safe_load(example)["content"])
    assert {type(field) for field in config.item} == {Labels, Number, Bucket, Cross, Text, Vector}


def test_by_default_items_have_what_the_catalogue_has_of_categories_the_logarithm_of_the_price_and_the_year():
    columns = {"item_id": "i", "title": "t", "year": "y", "price": "p", "categories": "c"}
    assert [f.model_dump(exclude_none=True) for f in default_content(columns)] == [
        {"labels": "categories"}, {"number": "price", "scale": ("log",)}, {"number": "year", "scale": ("z_score",)},
    ]  # fmt: skip
    assert [f.name for f in default_content({"item_id": "i", "year": "y"})] == ["year"]
    assert default_content({}) == ContentConfig().of("item") == ContentConfig().of("user") == ()


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"colour": "price"}, "a field of content has exactly one of labels, number, bucket, cross, text, vector"),
        ({"number": "price", "text": "title"}, "exactly one of"),
        ({"number": "title"}, r"item: number must be of \['age', 'price', 'year'\] or attributes.NAME. Received 'title'"),
        ({"number": "price", "scale": "quantile", "by": "price"}, r"item: by must be of .*Received 'price'"),
        ({"labels": "segment"}, r"item: labels must be of \['categories', 'tags'\]"),
        ({"labels": "categories", "slots": 3}, "categories take no slots, but sequences.max_categories. Received slots=3"),
        ({"number": "price", "by": "categories"}, r"by is for scale: quantile. Received by=categories, scale=\['z_score'\]"),
        ({"number": "price", "scale": ["log", "log"]}, r"several different ones. Received \['log', 'log'\]"),
        ({"bucket": "price"}, "a bucket has edges or quantiles. Received edges=None, quantiles=None"),
        ({"bucket": "price", "edges": [2, 1]}, r"edges must ascend. Received \[2.0, 1.0\]"),
        ({"cross": ["categories"]}, r"two or more different columns. Received \['categories'\]"),
        ({"cross": ["categories", "year_bucket"]}, "item: cross must be of .* Received 'year_bucket'"),
        ({"text": "title", "size": 9, "terms": 8}, "size must not exceed terms. Received .*size=9, terms=8"),
        ({"vector": "media", "size": 2, "reduce_to": 3}, "reduce_to must not exceed size. Received reduce_to=3, size=2"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_rule_and_what_was_given(field, message):
    with pytest.raises(ValidationError, match=message):
        ContentConfig.model_validate({"item": [field]})


def test_two_fields_of_one_name_are_refused():
    fields = [{"number": "price"}, {"bucket": "price", "edges": [1]}, {"number": "price", "scale": "log"}]
    with pytest.raises(ValidationError, match=r"item: a column must be declared once\. Received twice: price"):
        ContentConfig.model_validate({"item": fields})
