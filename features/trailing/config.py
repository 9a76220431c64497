"""What a scenario declares about features of users, items and categories. Everything has a default."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Self

from pydantic import Field, PositiveInt, model_validator

from features.profiling.config import Drift, Selection
from features.section import Section, Zone
from features.trailing.feature import Declared, Feature, Ratio, windows_of
from features.trailing.operations import Part

KEYS = {"user": "user_id", "item": "item_id", "category": "category"}  # what an entity is called among the columns of events


def _feature(values: dict[str, Any]) -> Feature:
    return Feature.model_validate(values)


_USER = (
    _feature({"count": "events", "days": (7, 30, 90)}),
    _feature({"mean": "value", "days": (90,)}),
    _feature({"recency": "events", "days": (90,)}),
    _feature({"frequency": "events", "days": (30,)}),
    _feature({"share": "category", "days": (90,)}),
)
_ITEM = (_feature({"count": "events", "days": (1, 7, 30)}), _feature({"mean": "value", "days": (90,)}))


def _twice(names: Iterable[str]) -> list[str]:
    """The names that Spark, which does not look at their case, takes for another one."""
    sorted_ = sorted(names)
    number = Counter(name.lower() for name in sorted_)
    return [name for name in dict.fromkeys(sorted_) if number[name.lower()] > 1]


def _check_columns(key: str, declared: Declared) -> None:
    alike = _twice({column for f in declared if isinstance(f, Feature) for column in f.columns_read})
    if alike:
        raise ValueError(f"{key}: columns of the context must differ in more than case. Received {', '.join(alike)}.")


def _check_names(key: str, declared: Declared) -> None:
    names = [f.name(w) for f in declared if isinstance(f, Feature) for w in f.windows]
    twice = _twice([*names, *[f.column for f in declared if isinstance(f, Ratio)]])
    if twice:
        raise ValueError(f"{key}: a feature must be declared once. Received twice: {', '.join(twice)}.")
    numbers = {name for name, (f, _) in windows_of(declared).items() if f.is_number}
    for f in declared:
        unknown = sorted({f.ratio, f.to} - numbers) if isinstance(f, Ratio) else []
        if unknown:
            raise ValueError(
                f"{key}: a ratio must be of two declared numbers: {sorted(numbers)}. Received {', '.join(unknown)}."
            )


def _check_tiles(key: str, declared: Declared) -> None:
    """Names tell neither the case nor the signs of conditions, so that two aggregates could have one name in a tile."""
    made: dict[str, tuple[Feature, Part]] = {}
    for f in (f for f in declared if isinstance(f, Feature)):
        for name, part in f.parts.items():
            other, its = made.setdefault(name.lower(), (f, part))
            if (f.conditions, part.of) != (other.conditions, its.of):
                raise ValueError(
                    f"{key}: features of other events or columns must not share a column of {key}_days; where_name names the "
                    f"conditions of one otherwise. Received {name} of {_written(other)} and {_written(f)}."
                )


def _written(feature: Feature) -> str:
    """As it is declared, without defaults."""
    return json.dumps(feature.model_dump(mode="json", exclude_defaults=True)).replace('"', "")


class FeaturesConfig(Section):
    user: Declared = _USER
    item: Declared = _ITEM
    category: Declared = ()  # of each category of the catalogue: an event is one of every category of its item
    zone: Zone = "UTC"  # in which hour and weekday are told; days are days of UTC in any case
    selection: Selection = Selection()
    drift: Drift | None = None
    session_minutes: Annotated[PositiveInt, Field(le=24 * 60)] = (
        30  # a pause of so long ends a session, as does a new session_id
    )

    @model_validator(mode="after")
    def names_are_known(self) -> Self:
        for entity in KEYS:
            _check_columns(entity, self.of(entity))
            _check_tiles(entity, self.of(entity))
            _check_names(entity, self.of(entity))
        for entity in ("item", "category"):
            if any(isinstance(f, Feature) and f.of == "sessions" for f in self.of(entity)):
                raise ValueError(f"{entity}: sessions are of users. Received a feature of sessions.")
        for entity, key in KEYS.items():
            if any(isinstance(f, Feature) and f.of == key for f in self.of(entity)):
                raise ValueError(f"{entity}: a feature must not be of the key itself. Received a feature of {key}.")
        return self

    def of(self, entity: str) -> Declared:
        """What is declared of user, item or category."""
        return getattr(self, entity)

    @property
    def entities(self) -> tuple[str, ...]:
        """What there are feature tables of."""
        return ("user", "item", "category") if self.category else ("user", "item")
