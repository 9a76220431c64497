"""What a scenario may declare about cleaning, features and sequences. Everything has a default."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from features.source_config import EVENT_COLUMNS, Section, check_pattern

Share = Annotated[float, Field(ge=0, le=1)]


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
            check_pattern(self.matches)
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
