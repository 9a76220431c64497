"""What a scenario may declare about its data: sources, cleaning, features, sequences.

Every model is frozen and refuses unknown keys. Only `source.events` has no default.
"""

from __future__ import annotations

import codecs
import datetime
import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt, field_validator, model_validator


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Format = Literal["csv", "json", "parquet", "delta"]
Share = Annotated[float, Field(ge=0, le=1)]


def _check_pattern(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"a pattern must be a regular expression ({error}). Received {pattern!r}.") from error


class Mapping(Section):
    """Where one column comes from. A bare string in the YAML is short for `{from: string}`."""

    from_: str | tuple[str, ...] = Field(alias="from")  # several: the names of indicator columns (0/1) that make one list
    split: str | None = None  # separator of a list in one string
    pattern: str | None = None  # regular expression; its first group is the value, e.g. the year in a title

    @model_validator(mode="before")
    @classmethod
    def short_form(cls, value: object) -> object:
        return {"from": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def pattern_has_a_group(self) -> Self:
        if self.pattern is not None and _check_pattern(self.pattern).groups < 1:
            raise ValueError(f"pattern must have a group, the value. Received {self.pattern!r}.")
        return self


class Time(Section):
    """How `event_time` is written in the source."""

    # s, ms, us: since 1970-01-01 UTC. text: `format`, or ISO 8601. order: only the order is known; one `step` an event.
    unit: Literal["s", "ms", "us", "text", "order"] = "s"
    zone: str = "UTC"  # of local times in text
    format: str | None = None  # Spark datetime pattern of a text
    start: datetime.date = datetime.date(2000, 1, 1)  # unit order: the made-up day of order 0
    step_seconds: PositiveInt = 1  # unit order: made-up distance of two consecutive orders

    @model_validator(mode="after")
    def format_needs_text(self) -> Self:
        if self.format is not None and self.unit != "text":
            raise ValueError(f"format needs unit: text. Received unit={self.unit}, format={self.format!r}.")
        return self


class FileSource(Section):
    path: str  # a file, a folder or a glob, on any file system that Spark knows; {date} becomes the day of the run
    format: Format = "csv"
    separator: str = ","
    quote: str = '"'  # empty: quotes mean nothing
    encoding: str = "UTF-8"
    header: tuple[str, ...] | None = None  # names of the columns of a CSV without a header line
    multiline: bool = False  # CSV: quoted fields may hold line breaks; such a file cannot be split among tasks
    version: int | None = Field(None, ge=0)  # of a Delta source; the newest one where none is given

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
    def json_is_utf8(self) -> Self:
        if self.format == "json" and codecs.lookup(self.encoding).name != "utf-8":
            raise ValueError(f"JSON is UTF-8 (RFC 8259). Received encoding={self.encoding!r}.")
        return self


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


class EventSource(FileSource):
    columns: dict[str, Mapping]
    time: Time = Time()
    event_type: str = "event"  # of every row, where no column is mapped
    value: Literal["explicit", "implicit"] = "implicit"  # explicit: value is a rating that the model learns to predict
    event_types: tuple[str, ...] | None = None  # accepted types; all where none are given
    context: tuple[str, ...] = ()  # further source columns, kept as text in events.context

    @model_validator(mode="after")
    def columns_are_known(self) -> Self:
        _check_columns(self.columns, {"user_id", "item_id", "event_time"}, EVENT_COLUMNS)
        if self.value == "explicit" and "value" not in self.columns:
            raise ValueError("value: explicit needs columns.value, the rating. Received none.")
        return self


class ItemSource(FileSource):
    columns: dict[str, Mapping]
    attributes: tuple[str, ...] = ()  # further source columns, kept as text in items.attributes

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
    attributes: tuple[str, ...] = ()  # further source columns, kept as text in users.attributes

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


class Check(Section):
    """A rule that every event keeps. Exactly one of `between`, `one_of`, `matches`, `refers_to`."""

    column: str
    between: tuple[float, float] | None = None
    one_of: tuple[str, ...] | None = None
    matches: str | None = None
    refers_to: Literal["items", "users"] | None = None
    otherwise: Literal["quarantine", "fail", "warn"] = "quarantine"

    @model_validator(mode="after")
    def one_rule(self) -> Self:
        rules = [r for r in ("between", "one_of", "matches", "refers_to") if getattr(self, r) is not None]
        if len(rules) != 1:
            raise ValueError(f"a check has exactly one of between, one_of, matches, refers_to. Received {rules}.")
        if self.column not in EVENT_COLUMNS:
            raise ValueError(f"column must be one of {sorted(EVENT_COLUMNS)}. Received {self.column!r}.")
        if self.refers_to is not None and self.column != f"{self.refers_to.removesuffix('s')}_id":
            raise ValueError(f"only {self.refers_to.removesuffix('s')}_id refers to {self.refers_to}. Received {self.column}.")
        if (self.column == "value") != (self.between is not None) or self.column == "event_time":
            raise ValueError(f"between is the rule for value, and for value only. Received column={self.column}.")
        if self.matches is not None:
            _check_pattern(self.matches)
        if self.between and self.between[0] > self.between[1]:
            raise ValueError(f"between must be [low, high]. Received {list(self.between)}.")
        return self


class Duplicates(Section):
    keys: tuple[str, ...] = ("user_id", "item_id", "event_type", "event_time")
    keep: Literal["latest", "first"] = "latest"  # in source order, among rows that agree on the keys
    near_seconds: NonNegativeFloat = 0  # the same user, item and type again within so many seconds is the same event

    @model_validator(mode="after")
    def keys_are_columns(self) -> Self:
        unknown = set(self.keys) - EVENT_COLUMNS
        if unknown or not {"user_id", "item_id"} <= set(self.keys):
            raise ValueError(f"keys must hold user_id and item_id, all of {sorted(EVENT_COLUMNS)}. Received {list(self.keys)}.")
        return self


class Impute(Section):
    """Fills an entity column where it is missing; `<column>_imputed` says where."""

    column: Literal["price", "year", "categories", "age"]
    with_: Literal["constant", "mean", "median", "mode"] = Field("median", alias="with")
    by: Literal["categories", "segment"] | None = None  # fitted per first category, or per segment
    value: float | str | None = None  # of constant

    @model_validator(mode="after")
    def method_fits_column(self) -> Self:
        if (self.with_ == "constant") != (self.value is not None):
            raise ValueError(f"value is given with constant, and only then. Received with={self.with_}, value={self.value}.")
        if self.column == "categories" and self.with_ not in ("constant", "mode"):
            raise ValueError(f"categories can be imputed with constant or mode. Received with={self.with_}.")
        if self.by is not None and (self.by == "categories") == (self.column in ("age", "categories")):
            raise ValueError(f"{self.column} cannot be imputed by {self.by}.")
        return self


class CleanConfig(Section):
    checks: tuple[Check, ...] = ()
    earliest: datetime.date = datetime.date(1990, 1, 1)  # an event before it is refused
    duplicates: Duplicates = Duplicates()
    bots_events_per_day: PositiveInt | None = None  # a user with more events on one day: that day of theirs is refused
    impute: tuple[Impute, ...] = ()
    max_refused: Share = 0.2  # share of refused rows above which the run ends with 3


class Feature(Section):
    """Trailing features of one key: exactly one operation, once per window of whole days before the row's own day."""

    count: Literal["events"] | None = None
    sum: Literal["value"] | None = None
    mean: Literal["value"] | None = None
    recency: Literal["events"] | None = None  # days since the last day with an event, up to the longest window
    frequency: Literal["events"] | None = None  # share of the window's days with an event
    share: Literal["categories"] | None = None  # share of each category among the window's events
    event_type: str | None = None  # only events of this type
    days: tuple[PositiveInt, ...] = (30,)

    @property
    def operation(self) -> str:
        return next(o for o in ("count", "sum", "mean", "recency", "frequency", "share") if getattr(self, o) is not None)

    @model_validator(mode="after")
    def one_operation(self) -> Self:
        given = [o for o in ("count", "sum", "mean", "recency", "frequency", "share") if getattr(self, o) is not None]
        if len(given) != 1:
            raise ValueError(f"a feature has exactly one of count, sum, mean, recency, frequency, share. Received {given}.")
        if self.event_type is not None and not re.fullmatch(r"\w+", self.event_type):
            raise ValueError(f"event_type must be letters, digits and _ (it names a column). Received {self.event_type!r}.")
        return self


class FeaturesConfig(Section):
    user: tuple[Feature, ...] = (
        Feature(count="events", days=(7, 30, 90)),
        Feature(mean="value", days=(90,)),
        Feature(recency="events", days=(90,)),
        Feature(frequency="events", days=(30,)),
        Feature(share="categories", days=(90,)),
    )
    item: tuple[Feature, ...] = (Feature(count="events", days=(1, 7, 30)), Feature(mean="value", days=(90,)))


class Split(Section):
    by: Literal["leave_one_out", "global_time"] = "leave_one_out"
    valid_from: datetime.date | None = None  # global_time: first day of validation, and of test
    test_from: datetime.date | None = None

    @model_validator(mode="after")
    def dates_are_in_order(self) -> Self:
        if self.by == "global_time" and (
            self.valid_from is None or self.test_from is None or self.valid_from >= self.test_from
        ):
            raise ValueError(
                "global_time needs valid_from before test_from. "
                f"Received valid_from={self.valid_from}, test_from={self.test_from}."
            )
        if self.by == "leave_one_out" and (self.valid_from or self.test_from):
            raise ValueError("leave_one_out takes no dates. Received valid_from or test_from.")
        return self


class SequencesConfig(Section):
    max_length: PositiveInt = 50  # events that the model looks back
    min_length: PositiveInt = 8  # shortest length bucket; buckets double from here to max_length
    event_types: tuple[str, ...] | None = None  # that enter sequences; all where none are given
    max_categories: PositiveInt = 8  # of one item, that the model sees
    split: Split = Split()

    @model_validator(mode="after")
    def lengths_are_in_order(self) -> Self:
        if self.min_length > self.max_length:
            raise ValueError(
                f"min_length must not exceed max_length. Received min_length={self.min_length}, max_length={self.max_length}."
            )
        return self
