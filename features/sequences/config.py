"""What a scenario declares about sequences and splits. Everything has a default."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from features.section import Section


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


class Neighbours(Section):
    """Which items are alike, since the same users choose them."""

    top: NonNegativeInt = 20  # of one item; 0: none are looked for
    shrinkage: NonNegativeFloat = 10.0  # users who must agree before a similarity is half of what it looks like
    history: PositiveInt = 50  # newest items of a user that count; pairs grow with its square


class Transitions(Section):
    """What users choose after an item."""

    top: NonNegativeInt = 100  # of one item; 0: none are looked for
    shrinkage: NonNegativeFloat = 20.0  # times that anything must follow an item before a share is half of what it looks like
    # Events after the item that count: more than the next one where items have few events. Of several, training chooses.
    reach: PositiveInt | Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 10)
    fading: Annotated[float, Field(gt=0, le=1)] = 0.8  # what an event counts for, of what the one before it does

    @property
    def reaches(self) -> list[int]:
        return sorted({self.reach} if isinstance(self.reach, int) else set(self.reach))


class ItemValues(Section):
    """Which items get like values from the same users; only where the source has explicit values."""

    top: NonNegativeInt = 200  # neighbours of one item; 0: none are looked for
    shrinkage: NonNegativeFloat = 200.0  # users of both items before a correlation is half of what it looks like
    history: PositiveInt = 200  # newest values of a user that count; pairs grow with its square


class SequencesConfig(Section):
    max_length: PositiveInt = 50  # events that the model looks back
    min_length: PositiveInt = 8  # shortest length bucket; buckets double from here to max_length
    event_types: tuple[str, ...] | None = None  # that enter sequences; all where none are given
    min_item_events: NonNegativeInt = 0  # training events without which an item gets no index of its own
    max_categories: PositiveInt = 8  # of one item, that the model sees
    split: Split = Split()
    neighbours: Neighbours = Neighbours()
    transitions: Transitions = Transitions()
    item_values: ItemValues = ItemValues()

    @model_validator(mode="after")
    def lengths_are_in_order(self) -> Self:
        if self.min_length > self.max_length:
            raise ValueError(
                f"min_length must not exceed max_length. Received min_length={self.min_length}, max_length={self.max_length}."
            )
        return self
