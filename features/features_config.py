"""What a scenario declares about features of users and items. Everything has a default."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import PositiveInt, model_validator

from features.source_config import Section


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
