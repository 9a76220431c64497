from __future__ import annotations

import pytest
from pydantic import ValidationError

from features.cleaning.config import CleanConfig
from features.source.config import SourceConfig

IDS = {"user_id": "u", "item_id": "i"}
SOURCE = SourceConfig.model_validate(
    {
        "events": {"path": "x", "columns": IDS | {"event_time": "t"}, "context": ["device"]},
        "items": {"path": "y", "columns": {"item_id": "i"}, "attributes": ["maker"]},
    }
)


@pytest.mark.parametrize(
    ("clean", "sentence"),
    [
        ({"checks": [{"column": "price", "not_null": True}]}, "column of events must be one of ['event_id', 'event_type',"),
        ({"checks": [{"column": "user_id", "not_null": True}]}, "events are always refused without user_id."),
        (
            {"checks": [{"column": "value"}]},
            "exactly one of not_null, between, one_of, matches, unique, refers_to. Received []",
        ),
        ({"latest": "1989-12-31"}, "latest must not be before earliest. Received latest=1989-12-31, earliest=1990-01-01."),
        ({"checks": [{"table": "items", "column": "tags", "unique": True}]}, "a list cannot be unique. Received column=tags."),
        ({"outliers": [{"column": "value", "by": "segment"}]}, "value can be grouped by event_type. Received by=segment."),
        ({"outliers": [{"column": "value", "quantiles": [0, 1]}]}, "quantiles is not what iqr is given."),
        ({"outliers": [{"column": "age"}, {"column": "age"}]}, "outliers are declared once per column. Received twice: age."),
        ({"impute": [{"column": "value"}]}, "carried_forward is for value and context.<name>"),
        ({"impute": [{"column": "title", "with": "carried_forward"}]}, "column must be value, context.<name>,"),
        (
            {"checks": [{"column": "value", "between": [0, n], "otherwise": o} for n, o in ((1, "quarantine"), (9, "fail"))]},
            "cannot both quarantine and fail, since both give the reason value_out_of_range, which would fail for either.",
        ),
        (
            {"impute": [{"column": "price", "with": "constant", "value": "cheap"}]},
            "price is a number, and so is the constant that fills it. Received value='cheap'.",
        ),
        (
            {"impute": [{"column": "price", "with": "constant", "value": 1, "by": "categories"}]},
            "a constant is the same for all, so it takes no by. Received by=categories.",
        ),
        ({"caps": [{"per_day": 0}]}, "Input should be greater than 0"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_with_a_sentence(clean, sentence):
    with pytest.raises(ValidationError) as error:
        CleanConfig.model_validate(clean)
    assert sentence in str(error.value)


def test_rules_about_what_no_source_gives_are_named():
    clean = CleanConfig.model_validate(
        {
            "checks": [
                {"column": "user_id", "refers_to": "users"},
                {"column": "context.device", "not_null": True},
                {"column": "context.shop", "matches": "x"},
                {"table": "items", "column": "attributes.maker", "unique": True},
                {"column": "event_id", "unique": True},
                {"column": "session_id", "unique": True},
                {"column": "event_type", "one_of": ["view"]},  # of every row, where it is not mapped
                {"table": "items", "column": "title", "not_null": True},
            ],
            "outliers": [{"column": "age"}, {"column": "value"}, {"column": "year"}],
            "impute": [
                {"column": "context.browser", "with": "carried_forward"},
                {"column": "value", "with": "carried_forward"},
                {"column": "price"},
                {"column": "categories", "with": "constant", "value": "none"},  # needs no value to be told from
            ],
        }
    )
    assert clean.missing_sources(SOURCE) == [
        "clean.checks context.shop",
        "clean.checks event_id",
        "clean.checks refers_to users",
        "clean.checks session_id",
        "clean.checks title",
        "clean.impute context.browser",
        "clean.impute price",
        "clean.impute value",
        "clean.outliers age",
        "clean.outliers value",
        "clean.outliers year",
    ]


def test_the_name_of_a_statistic_says_all_that_decides_it():
    given = [{"column": "price"}, {"column": "value", "rule": "quantile", "by": "event_type"}, {"column": "age", "factor": 2}]
    found = [o.statistics for o in CleanConfig.model_validate({"outliers": given}).outliers]
    assert found == [
        ("iqr_1.5_low", "iqr_1.5_high"),
        ("quantile_0.01_0.99_by_event_type_low", "quantile_0.01_0.99_by_event_type_high"),
        ("iqr_2_low", "iqr_2_high"),
    ]
