"""What a scenario declares about cleaning: rules, repetitions, bots and what fills missing content. All has a default."""

from __future__ import annotations

import datetime
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
