from __future__ import annotations

import pytest
from pydantic import ValidationError

from features.source.config import EventSource, FileSource, ItemSource, SourceConfig, Time

EVENTS = {"path": "x", "columns": {"user_id": "u", "item_id": "i", "event_time": "t"}}


def test_what_where_asks_for_is_text_however_yaml_reads_it():
    assert FileSource(path="x", where={"a": 1, "b": [True, "x"]}).where == {"a": ("1",), "b": ("true", "x")}


def test_an_encoding_is_kept_under_a_name_that_java_knows():
    assert [FileSource(path="x", encoding=e).encoding for e in ("latin-1", "windows-1252", "utf8")] == [
        "iso8859-1",
        "cp1252",
        "utf-8",
    ]


@pytest.mark.parametrize(
    ("model", "values", "sentence"),
    [
        (FileSource, {"path": "x", "encoding": "utf-16"}, "write ASCII as ASCII, such as UTF-8"),
        (FileSource, {"path": "x", "encoding": "klingon"}, "Received 'klingon'."),
        (
            FileSource,
            {"path": "x", "encoding": "latin-1", "format": "json"},
            "JSON is UTF-8 (RFC 8259). Received encoding='iso8859-1'.",
        ),
        (Time, {"unit": "text", "zone": "Mars/X"}, "a zone must be one of the IANA's, such as Europe/Berlin,"),
        (Time, {"unit": "text", "zone": "+25:00"}, "or an offset, +02:00. Received '+25:00'."),
        (Time, {"unit": "text", "format": "b!ad{"}, "all others in single quotes. Received 'b!ad{'."),
        (Time, {"unit": "text", "format": "yyyy-MM-dd'T"}, "all others in single quotes."),
        (
            Time,
            {"unit": "text", "format": "EEE MMM dd HH:mm:ss yyyy"},
            r"takes what comes after it, '^\w+,? (.+)$'. Received 'EEE",
        ),
        (EventSource, EVENTS | {"columns": {"user_id": "u", "event_time": "t"}}, "Received no ['item_id']."),
        (
            EventSource,
            EVENTS | {"columns": {"user_id": "u", "item_id": "i"}},
            "where not even that, {unit: none}. Received ['item_id', 'user_id'].",
        ),
        (EventSource, EVENTS | {"time": {"unit": "none"}}, "is for a log without times. Received columns.event_time."),
        (
            EventSource,
            EVENTS | {"path": "{date}", "time": {"unit": "order"}},
            "is for events with times. Received time.unit=order.",
        ),
        (EventSource, EVENTS | {"late_days": 1}, "late_days needs {date} in path. Received late_days=1, path='x'."),
        (EventSource, EVENTS | {"path": "{date}", "late_days": 367}, "should be less than or equal to 366"),
        (EventSource, EVENTS | {"context": ["a", "b", "a"]}, "a name must stand once. Received ['a', 'b', 'a']."),
        (ItemSource, {"path": "x", "columns": {"item_id": "i"}, "attributes": ["a", "a"]}, "a name must stand once."),
        (EventSource, EVENTS | {"value": "explicit"}, "value: explicit needs columns.value, the rating."),
        (
            ItemSource,
            {"path": "x", "columns": {"item_id": "i", "price": {"from": ["a", "b"]}}},
            "only categories and tags can come from several columns. Received ['price'].",
        ),
        (
            ItemSource,
            {"path": "x", "columns": {"item_id": "i", "tags": {"from": "a", "take": "values"}}},
            "take: values needs several columns, from: [a, b]. Received from='a'.",
        ),
        (
            ItemSource,
            {"path": "x", "columns": {"item_id": {"from": "i", "split": "|"}}},
            "only categories, tags and media are lists, which split is for. Received it for ['item_id'].",
        ),
        (FileSource, {"path": "x", "missing": ["NA", ""]}, "nothing at all is missing anyhow. Received ['NA', '']."),
        (
            FileSource,
            {"path": "x", "escape": "\\", "quote": ""},
            "there must be quotes, of another character. Received escape=",
        ),
        (FileSource, {"path": "x", "escape": '"'}, "there must be quotes, of another character."),
        (FileSource, {"path": "x", "where": {"status": []}}, "at least 1 item"),
        (FileSource, {"path": "x", "missing": [None]}, "Input should be a valid string"),
        (FileSource, {"path": "x", "separator": ""}, "should have at least 1 character"),
        (FileSource, {"path": "x", "quote": "''"}, "should have at most 1 character"),
        (
            SourceConfig,
            {"events": EVENTS, "tags": {"path": "x", "columns": {"item_id": "i", "tag": "t"}}},
            "tags need items, which they describe.",
        ),
    ],
)
def test_a_source_that_cannot_work_is_refused_with_a_sentence(model, values, sentence):
    with pytest.raises(ValidationError) as error:
        model.model_validate(values)
    assert sentence in str(error.value)
