"""What a scenario declares about its sources: where the raw files are, and which of their columns mean what.

Every model is frozen and refuses unknown keys. Only `source.events` has no default.
"""

from __future__ import annotations

import codecs
import datetime
import re
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveInt,
    field_validator,
    model_validator,
)

from features.section import Section, Zone

# json: one object a line. json_map: a file is one object, whose columns are `key` and `value`, such as {"item": [categories]}.
Format = Literal["csv", "json", "json_map", "parquet", "delta"]
LATE_DAYS = 2
_PATTERN = r"([GyMLdDaHhKkmsSVzOXxZ]|'[^']*'|[^A-Za-z'{}#])+"  # what Spark's datetime patterns that are read may hold
_NO_WEEKDAY = "Spark reads no weekday (E): columns.event_time.pattern takes what comes after it, '^\\w+,? (.+)$'. "


def _as_text(value: object) -> object:
    """A number or a truth value of the YAML, as a source writes it in text."""
    return str(value).lower() if isinstance(value, bool | int) else value


Text = Annotated[str, BeforeValidator(_as_text)]
Texts = Annotated[
    tuple[Text, ...], Field(min_length=1), BeforeValidator(lambda value: value if isinstance(value, list | tuple) else (value,))
]


class Mapping(Section):
    """Where one column comes from. A bare string in the YAML is short for `{from: string}`."""

    from_: str | tuple[str, ...] = Field(alias="from")  # several: columns that make one list
    take: Literal["indicators", "values"] = "indicators"  # of several: the names of those that hold 1, or what they hold
    split: Annotated[str, Field(min_length=1)] | None = None  # separator of a list in one string
    pattern: str | None = None  # regular expression of Java; its first group is the value, as the year in a title

    @model_validator(mode="before")
    @classmethod
    def short_form(cls, value: object) -> object:
        return {"from": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def take_needs_several(self) -> Self:
        if self.take == "values" and isinstance(self.from_, str):
            raise ValueError(f"take: values needs several columns, from: [a, b]. Received from={self.from_!r}.")
        return self


class Time(Section):
    """How `event_time` is written in the source."""

    # s, ms, us: since 1970-01-01 UTC. text: `format`, or ISO 8601. order: only the order is known; one `step` an event. none:
    # not even that; instants of the day `start` are made up, by a hash of user, item and type.
    unit: Literal["s", "ms", "us", "text", "order", "none"] = "s"
    zone: Zone = "UTC"  # of local times in text
    format: str | None = None  # Spark datetime pattern of a text
    start: datetime.date = datetime.date(2000, 1, 1)  # units order and none: the made-up day of order 0, or of all events
    step_seconds: PositiveInt = 1  # unit order: made-up distance of two consecutive orders

    @field_validator("format")
    @classmethod
    def format_is_a_pattern(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(_PATTERN, value):
            raise ValueError(
                "format must be of Spark's letters of dates and times, such as dd/MM/yyyy HH:mm, all others in single quotes. "
                f"{_NO_WEEKDAY if 'E' in value else ''}Received {value!r}."
            )
        return value

    @model_validator(mode="after")
    def format_needs_text(self) -> Self:
        if self.format is not None and self.unit != "text":
            raise ValueError(f"format needs unit: text. Received unit={self.unit}, format={self.format!r}.")
        return self


class FileSource(Section):
    path: str  # a file, a folder or a glob, on any file system that Spark knows; {date} becomes the day of the run
    format: Format = "csv"
    separator: Annotated[str, Field(min_length=1)] = ","
    quote: Annotated[str, Field(max_length=1)] = '"'  # empty: quotes mean nothing
    # Goes before a quote within quotes; None: such a quote stands twice.
    escape: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    encoding: str = "utf-8"
    header: tuple[str, ...] | None = None  # names of the columns of a CSV without a header line
    multiline: bool = False  # CSV: quoted fields may hold line breaks; such a file cannot be split among tasks
    missing: tuple[Text, ...] = ()  # what stands for nothing in any field that is read, such as NA
    where: dict[str, Texts] = Field({})  # rows that say something else in one of these columns of the source are not read
    version: int | None = Field(None, ge=0)  # of a Delta source; the newest one where none is given

    @field_validator("missing")
    @classmethod
    def missing_can_be_found(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(text != text.strip() or not text for text in value):
            raise ValueError(
                "missing must hold texts without blanks around them, which are removed from what is read; nothing at all is "
                f"missing anyhow. Received {list(value)}."
            )
        return value

    @model_validator(mode="after")
    def where_can_be_found(self) -> Self:
        wrong = [text for texts in self.where.values() for text in texts if text != text.strip() or text in self.missing]
        if wrong:
            raise ValueError(
                "where must hold texts without blanks around them that are not missing; '' stands for what is. "
                f"Received {wrong}."
            )
        return self

    @field_validator("encoding")
    @classmethod
    def encoding_is_like_ascii(cls, value: str) -> str:
        try:
            if "a,\n".encode(value) == b"a,\n":
                return codecs.lookup(value).name  # Java knows the same names, but not every alias, such as latin-1
        except LookupError:
            pass
        raise ValueError(
            f"encoding must be known and write ASCII as ASCII, such as UTF-8, ISO-8859-1 or windows-1252. Received {value!r}."
        )

    @model_validator(mode="after")
    def escape_needs_quote(self) -> Self:
        if self.escape is not None and self.quote in ("", self.escape):
            raise ValueError(
                "escape is for what stands in quotes, so there must be quotes, of another character. "
                f"Received escape={self.escape!r}, quote={self.quote!r}."
            )
        return self

    @model_validator(mode="after")
    def json_is_utf8(self) -> Self:
        if self.format.startswith("json") and codecs.lookup(self.encoding).name != "utf-8":
            raise ValueError(f"JSON is UTF-8 (RFC 8259). Received encoding={self.encoding!r}.")
        return self


def _check_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError(f"a name must stand once. Received {list(names)}.")
    return names


Names = Annotated[tuple[str, ...], AfterValidator(_check_names)]  # keys of a map
EVENT_COLUMNS = {"event_id", "user_id", "item_id", "event_type", "value", "event_time", "session_id"}
ITEM_COLUMNS = {"item_id", "title", "categories", "tags", "price", "year", "text", "media"}
USER_COLUMNS = {"user_id", "segment", "age"}


def _check_columns(columns: dict[str, Mapping], needed: set[str], known: set[str]) -> None:
    missing, unknown = needed - columns.keys(), columns.keys() - known
    if missing:
        raise ValueError(f"columns must map {sorted(needed)}. Received no {sorted(missing)}.")
    if unknown:
        raise ValueError(f"columns may map {sorted(known)}. Received {sorted(unknown)}.")
    lists = {name for name, mapping in columns.items() if not isinstance(mapping.from_, str)} - {"categories", "tags"}
    if lists:
        raise ValueError(f"only categories and tags can come from several columns. Received {sorted(lists)}.")
    split = {name for name, mapping in columns.items() if mapping.split is not None} - {"categories", "tags", "media"}
    if split:
        raise ValueError(f"only categories, tags and media are lists, which split is for. Received it for {sorted(split)}.")


class EventSource(FileSource):
    columns: dict[str, Mapping]
    time: Time = Time()
    event_type: str = "event"  # of every row, where no column is mapped
    value: Literal["explicit", "implicit"] = "implicit"  # explicit: value is a rating that the model learns to predict
    event_types: tuple[str, ...] | None = None  # accepted types; all where none are given
    context: Names = ()  # further source columns, kept as text in events.context
    # With {date} in the path: days that an event may lie before or after the one of its file. A run over a day reads so many
    # days' files around it; an event that is further off is refused.
    late_days: int = Field(LATE_DAYS, ge=0, le=366)

    @model_validator(mode="after")
    def columns_are_known(self) -> Self:
        self._check_time()
        _check_columns(self.columns, {"user_id", "item_id"}, EVENT_COLUMNS)
        if self.value == "explicit" and "value" not in self.columns:
            raise ValueError("value: explicit needs columns.value, the rating. Received none.")
        return self

    def _check_time(self) -> None:
        if self.time.unit == "none" and "event_time" in self.columns:
            raise ValueError("time: {unit: none} is for a log without times. Received columns.event_time.")
        if self.time.unit != "none" and "event_time" not in self.columns:
            raise ValueError(
                "columns must map event_time. Where only the order of events is known, time is {unit: order}; where not even "
                f"that, {{unit: none}}. Received {sorted(self.columns)}."
            )
        if self.time.unit in ("order", "none") and "{date}" in self.path:
            raise ValueError(f"{{date}} in path is for events with times. Received time.unit={self.time.unit}.")

    @model_validator(mode="after")
    def late_days_need_files_of_days(self) -> Self:
        if self.late_days != LATE_DAYS and "{date}" not in self.path:
            raise ValueError(f"late_days needs {{date}} in path. Received late_days={self.late_days}, path={self.path!r}.")
        return self


Repeats = Literal["refuse", "last"]  # last: a row whose id stands again further on is a duplicate, and not refused


class ItemSource(FileSource):
    columns: dict[str, Mapping]
    repeats: Repeats = "refuse"
    attributes: Names = ()  # further source columns, kept as text in items.attributes

    @model_validator(mode="after")
    def columns_are_known(self) -> Self:
        _check_columns(self.columns, {"item_id"}, ITEM_COLUMNS)
        return self


class TagSource(FileSource):
    """Tags that people gave to items, one row a tag (MovieLens tags.csv)."""

    columns: dict[str, Mapping]

    @model_validator(mode="after")
    def columns_are_known(self) -> Self:
        _check_columns(self.columns, {"item_id", "tag"}, {"item_id", "tag"})
        return self


class UserSource(FileSource):
    columns: dict[str, Mapping]
    repeats: Repeats = "refuse"
    attributes: Names = ()  # further source columns, kept as text in users.attributes

    @model_validator(mode="after")
    def columns_are_known(self) -> Self:
        _check_columns(self.columns, {"user_id"}, USER_COLUMNS)
        return self


class SourceConfig(Section):
    events: EventSource
    items: ItemSource | None = None
    tags: TagSource | None = None
    users: UserSource | None = None

    @model_validator(mode="after")
    def tags_have_items(self) -> Self:
        if self.tags is not None and self.items is None:
            raise ValueError("tags need items, which they describe. Received tags only.")
        return self

    @property
    def given(self) -> dict[str, EventSource | ItemSource | TagSource | UserSource]:
        """Those that are declared, by name."""
        return {name: source for name, source in self if source is not None}
