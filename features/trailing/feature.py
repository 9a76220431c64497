"""What one feature is: one operation on one column of the events, over trailing windows of whole days.

Its names are computed: `{count: events, where: {event_type: buy}, days: [7, 30]}` makes `buy_events_count_7d` and
`buy_events_count_30d`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import (
    Discriminator,
    Field,
    FiniteFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    Tag,
    field_validator,
    model_serializer,
    model_validator,
)

from features.schema import NUMBERS
from features.section import Section
from features.trailing.operations import CONTEXT, EVENTS, OPERATIONS, Kind, Operation, Part, as_name, column_name

KINDS: dict[str, Kind] = {
    "events": "events",
    "sessions": "sessions",
    **dict.fromkeys(("value", "price", "year"), "number"),
    **dict.fromkeys(("user_id", "item_id", "event_type", "session_id", "hour", "weekday"), "label"),
    "category": "list",
}
LABELS = {"hour": [f"{hour:02}" for hour in range(24)], "weekday": [f"{day}" for day in range(1, 8)]}  # 1: Sunday


class Limits(Section):
    """A condition on a number; one that is missing does not fulfil it."""

    at_least: FiniteFloat | None = None
    below: FiniteFloat | None = None

    @model_validator(mode="after")
    def some_number_fulfils_it(self) -> Self:
        if self.at_least is None and self.below is None:
            raise ValueError("a condition on a number has at_least, below or both. Received none.")
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise ValueError(f"at_least must be less than below. Received at_least={self.at_least:g}, below={self.below:g}.")
        return self


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)] | PositiveInt
Condition = str | tuple[str, ...] | Limits


class Feature(Section):
    """Exactly one operation, written as `operation: column`. `number` and `label` columns of the context are told apart by
    the operation: a mean is of a number, a share of a label."""

    operation: str
    of: str
    where: dict[str, Condition] = Field({})  # only events that fulfil all of it
    where_name: Annotated[str, Field(pattern=r"^[a-z]\w*$")] | None = None  # what names call `where`, instead of its text
    days: tuple[PositiveInt, ...] = (30,)  # windows; of a trend: the short one and the long one
    half_life: Positive | None = None  # of decayed_count, decayed_sum and interest, in days
    smoothing: Positive | None = None  # of interest and smoothed_mean, in events
    prior: FiniteFloat | None = None  # of smoothed_mean: what a key is taken for before it has events
    k: PositiveInt | None = None  # of last_k
    unit: str | None = None  # of the column, for the dictionary
    description: str | None = None  # for the dictionary

    @model_validator(mode="before")
    @classmethod
    def short_form(cls, values: Any) -> Any:
        """`{count: events}` is `{operation: count, of: events}`."""
        if not isinstance(values, dict) or "operation" in values:
            return values
        given = [key for key in values if key in OPERATIONS]
        if len(given) != 1:
            raise ValueError(
                f"a feature has exactly one of {', '.join(OPERATIONS)}, or ratio. Received {given or list(values)}."
            )
        rest = {key: value for key, value in values.items() if key != given[0]}
        return {"operation": given[0], "of": values[given[0]], **rest}

    @field_validator("operation")
    @classmethod
    def operation_is_known(cls, value: str) -> str:
        if value not in OPERATIONS:
            raise ValueError(f"an operation must be one of {', '.join(OPERATIONS)}. Received {value!r}.")
        return value

    @model_serializer(mode="wrap")
    def to_short_form(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values = serialize(self)
        return {values.pop("operation"): values.pop("of"), **values}

    @property
    def op(self) -> Operation:
        return OPERATIONS[self.operation]

    @property
    def kind(self) -> Kind:
        if self.of.startswith(CONTEXT):
            return "number" if "label" not in self.op.accepts else "label"
        return KINDS[self.of]

    @property
    def column(self) -> str:
        return column_name(self.of)

    @property
    def columns_read(self) -> tuple[str, ...]:
        """Every column that it is about, conditions included, as they are declared."""
        return (self.of, *self.where)

    @property
    def type(self) -> str:
        """Of its columns, in Spark's short form."""
        one = "double" if self.kind == "number" else "string"
        return {"same": one, "list": f"array<{one}>"}.get(self.op.type, self.op.type)

    @property
    def is_number(self) -> bool:
        return self.type in NUMBERS

    @property
    def prefix(self) -> str:
        """What the names of columns about these events begin with: the conditions, or nothing."""
        if self.where_name is not None:
            return f"{self.where_name}_"
        parts = []
        for column, condition in self.conditions.items():
            if isinstance(condition, Limits):
                limits = {"at_least": condition.at_least, "below": condition.below}
                parts += [f"{as_name(column)}_{name}_{as_name(limit)}" for name, limit in limits.items() if limit is not None]
            else:
                parts.append("_or_".join(as_name(label) for label in condition))
        return "".join(f"{part}_" for part in parts)

    @property
    def conditions(self) -> dict[str, tuple[str, ...] | Limits]:
        """The same for one label as for a list of one."""
        return {column: (c,) if isinstance(c, str) else c for column, c in self.where.items()}

    @property
    def parts(self) -> dict[str, Part]:
        """The columns of a tile that it needs, by name."""
        return {f"{self.prefix}{part.name}": part for part in (EVENTS, *self.op.parts(self))}

    @property
    def windows(self) -> tuple[tuple[int, ...], ...]:
        """The days of each column that the feature makes."""
        return (self.days,) if self.op.windows > 1 else tuple((days,) for days in self.days)

    def name(self, window: tuple[int, ...]) -> str:
        return f"{self.prefix}{self.column}_{self.op.name(self)}_{'_'.join(f'{days}d' for days in window)}"

    @model_validator(mode="after")
    def column_is_known(self) -> Self:
        for column in self.columns_read:
            is_context = re.fullmatch(r"context\.\w+", column) and column_name(column).lower() not in KINDS
            if column not in KINDS and not is_context:
                raise ValueError(f"a column must be one of {sorted(KINDS)} or context.OTHER_NAME. Received {column!r}.")
        if not self.of.startswith(CONTEXT) and self.kind not in self.op.accepts:
            fitting = sorted(name for name, kind in KINDS.items() if kind in self.op.accepts)
            raise ValueError(f"{self.operation} must be of one of {fitting}. Received {self.of!r}.")
        if self.of.startswith(CONTEXT) and not {"number", "label"} & self.op.accepts:
            raise ValueError(f"{self.operation} must be of events. Received {self.of!r}.")
        return self

    @model_validator(mode="after")
    def conditions_fit_columns(self) -> Self:
        for column, condition in self.where.items():
            kind = KINDS.get(column, "label")
            if kind in ("events", "sessions", "list"):
                raise ValueError(f"where must be about a number or a label of the event. Received {column!r}.")
            is_number = isinstance(condition, Limits)
            if is_number != (kind == "number") and not (is_number and column.startswith(CONTEXT)):
                what = "at_least and below" if kind == "number" else "labels"
                raise ValueError(f"where.{column} must be {what}. Received {condition!r}.")
            if condition == ():
                raise ValueError(f"where.{column} must have a label. Received none.")
        for column in self.where.keys() & LABELS:
            wrong = [label for label in self.conditions[column] if label not in LABELS[column]]
            if wrong:
                raise ValueError(f"where.{column} must be of {LABELS[column][0]} to {LABELS[column][-1]}. Received {wrong}.")
        return self

    @model_validator(mode="after")
    def only_conditions_are_named(self) -> Self:
        if self.where_name is not None and not self.where:
            raise ValueError(f"where_name needs where, which it names. Received where_name={self.where_name!r} only.")
        return self

    @model_validator(mode="after")
    def has_what_it_needs(self) -> Self:
        for key in ("k", "half_life", "smoothing", "prior"):
            if (getattr(self, key) is not None) != (key in self.op.needs):
                needed = "needs" if key in self.op.needs else "takes no"
                raise ValueError(f"{self.operation} {needed} {key}. Received {key}={getattr(self, key)}.")
        if not self.days:
            raise ValueError(f"{self.operation} must have a window, such as days: [30]. Received none.")
        if self.op.windows > 1 and (len(self.days) != self.op.windows or list(self.days) != sorted(set(self.days))):
            raise ValueError(f"{self.operation} takes two windows, the short one first. Received days={list(self.days)}.")
        return self


class Ratio(Section):
    """One feature divided by another; null where that is 0 or null. `{ratio: a, to: b}` makes `a_per_b`."""

    ratio: str
    to: str
    description: str | None = None

    @property
    def column(self) -> str:
        return f"{self.ratio}_per_{self.to}"


def _is_ratio(value: Any) -> str:
    return "ratio" if isinstance(value, Ratio) or (isinstance(value, dict) and "ratio" in value) else "feature"


# Told apart by their keys: a mistake in a feature is none in a ratio.
Declared = tuple[Annotated[Annotated[Feature, Tag("feature")] | Annotated[Ratio, Tag("ratio")], Discriminator(_is_ratio)], ...]


def windows_of(declared: Declared) -> dict[str, tuple[Feature, tuple[int, ...]]]:
    """Each column that is made of tiles, by name: its feature and its window."""
    return {f.name(window): (f, window) for f in declared if isinstance(f, Feature) for window in f.windows}


def longest_window(declared: Declared) -> int:
    """Days that the longest window reaches back; 0 without features."""
    return max((days for f in declared if isinstance(f, Feature) for days in f.days), default=0)
