from __future__ import annotations

import pytest

from jobs.runtime.config import Scenario
from jobs.runtime.errors import ConfigError
from jobs.runtime.java import check_java


def scenario(pattern: str, matches: str) -> Scenario:
    columns = {"user_id": "u", "item_id": {"from": "i", "pattern": pattern}, "event_time": "t"}
    clean = {"checks": [{"column": "event_type", "matches": matches}]}
    return Scenario.model_validate({"warehouse": "w", "source": {"events": {"path": "e", "columns": columns}}, "clean": clean})


def test_a_pattern_is_what_java_takes_for_one(spark):
    check_java(spark, scenario(r"^(\p{Lu}+)$", r"\p{IsGreek}"))  # Python knows neither
    with pytest.raises(ConfigError) as error:
        check_java(spark, scenario("(?P<x>a)", "[[]"))  # Python knows both
    assert str(error.value).splitlines() == [
        "source.events.columns.item_id.pattern: must be a regular expression as Java writes them "
        "(Unknown inline modifier near index 2). Received '(?P<x>a)'.",
        "clean.checks.0.matches: must be a regular expression as Java writes them "
        "(Unclosed character class near index 2). Received '[[]'.",
    ]


def test_a_pattern_that_a_column_is_read_by_has_a_group(spark):
    with pytest.raises(ConfigError, match=r"item_id.pattern: must have a group, the value. Received 'a'."):
        check_java(spark, scenario("a", "a"))


def test_an_encoding_is_one_that_java_knows_too(spark):
    columns = {"user_id": "u", "item_id": "i", "event_time": "t"}
    items = {"path": "i", "columns": {"item_id": "i"}, "encoding": "mac-roman"}  # Python knows it
    given = {"warehouse": "w", "source": {"events": {"path": "e", "columns": columns, "encoding": "latin-1"}, "items": items}}
    with pytest.raises(ConfigError) as error:
        check_java(spark, Scenario.model_validate(given))
    assert str(error.value) == (
        "source.items.encoding: must be one that Java knows, such as UTF-8, ISO-8859-1 or windows-1252. Received 'mac-roman'."
    )
