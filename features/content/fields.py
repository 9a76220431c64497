"""The encodings of content that a scenario can declare.

A field is one encoding of columns of `items` or `users`, written as `encoding: column`, such as
`{number: price, scale: [log, quantile], by: categories}` or `{text: [title, text], size: 16}`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from features.section import Section

Scaling = Literal["z_score", "log", "min_max", "quantile"]
_ATTRIBUTE = re.compile(r"attributes\.\w+")


def attribute_of(column: str) -> str | None:
    """The name of a further source column, as the source lists it under `attributes`; None: a column of ours."""
    return column.removeprefix("attributes.") if _ATTRIBUTE.fullmatch(column) else None


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Labels(Section):
    """Labels that the model embeds, each column as the mean of its labels: a multi-hot column."""

    labels: str
    slots: PositiveInt | None = None  # labels of one row that are kept, the first ones; of categories: sequences.max_categories

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.labels,)

    @property
    def name(self) -> str:
        return attribute_of(self.labels) or self.labels

    @property
    def kept(self) -> int:
        return self.slots or (8 if self.labels == "tags" else 1)

    @model_validator(mode="after")
    def slots_of_categories_stand_elsewhere(self) -> Self:
        if self.labels == "categories" and self.slots is not None:
            raise ValueError(f"categories take no slots, but sequences.max_categories. Received slots={self.slots}.")
        return self


class Number(Section):
    """A number, scaled in one or more ways, and whether it is known. An imputed value is taken, but not known or fitted on."""

    number: str
    scale: tuple[Scaling, ...] = ("z_score",)
    by: str | None = None  # column of labels; quantiles are those among the rows of the same first label

    _scale_is_a_list = field_validator("scale", mode="before")(_as_tuple)

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.number,) if self.by is None else (self.number, self.by)

    @property
    def name(self) -> str:
        return attribute_of(self.number) or self.number

    @property
    def width(self) -> int:
        return len(self.scale) + 1

    @model_validator(mode="after")
    def scales_make_sense(self) -> Self:
        if not self.scale or len(set(self.scale)) < len(self.scale):
            raise ValueError(f"scale must hold one way or several different ones. Received {list(self.scale)}.")
        if self.by is not None and "quantile" not in self.scale:
            raise ValueError(f"by is for scale: quantile. Received by={self.by}, scale={list(self.scale)}.")
        return self


class Bucket(Section):
    """A number as a label: the bucket it falls into. A bucket holds its lower edge."""

    bucket: str
    edges: tuple[float, ...] | None = None  # ascending; n edges make n + 1 buckets
    quantiles: Annotated[int, Field(ge=2)] | None = None  # so many buckets of equal size in the training period

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.bucket,)

    @property
    def name(self) -> str:
        return f"{attribute_of(self.bucket) or self.bucket}_bucket"

    @property
    def kept(self) -> int:
        return 1

    @property
    def buckets(self) -> int:
        return self.quantiles or len(self.edges or ()) + 1

    @model_validator(mode="after")
    def has_one_kind_of_edges(self) -> Self:
        if (self.edges is None) == (self.quantiles is None):
            raise ValueError(f"a bucket has edges or quantiles. Received edges={self.edges}, quantiles={self.quantiles}.")
        if self.edges is not None and (not self.edges or list(self.edges) != sorted(set(self.edges))):
            raise ValueError(f"edges must ascend. Received {list(self.edges)}.")
        return self


class Cross(Section):
    """Each combination of labels as a label of its own; hashed where there may be more than `size` of them."""

    cross: tuple[str, ...]  # columns of labels, or names of declared buckets such as price_bucket
    size: PositiveInt = 10_000
    slots: PositiveInt = 4  # combinations of one row that are kept

    @property
    def reads(self) -> tuple[str, ...]:
        return self.cross

    @property
    def name(self) -> str:
        return "_x_".join(attribute_of(part) or part for part in self.cross)

    @property
    def kept(self) -> int:
        return self.slots

    @model_validator(mode="after")
    def has_parts(self) -> Self:
        if len(set(self.cross)) < max(2, len(self.cross)):
            raise ValueError(f"a cross is of two or more different columns. Received {list(self.cross)}.")
        return self


class Text(Section):
    """Words as TF-IDF, reduced to `size` numbers by a singular value decomposition; and whether there is a text."""

    text: tuple[str, ...]  # columns that make the text together
    size: PositiveInt = 16
    terms: Annotated[int, Field(gt=0, le=4096)] = 1000  # most frequent ones; their square is what the decomposition costs

    _text_is_a_list = field_validator("text", mode="before")(_as_tuple)

    @property
    def reads(self) -> tuple[str, ...]:
        return self.text

    @property
    def name(self) -> str:
        return "_and_".join(attribute_of(column) or column for column in self.text)

    @property
    def width(self) -> int:
        return self.size + 1

    @model_validator(mode="after")
    def size_is_a_reduction(self) -> Self:
        if not self.text or self.size > self.terms:
            raise ValueError(
                f"text names columns, and size must not exceed terms. Received text={list(self.text)}, "
                f"size={self.size}, terms={self.terms}."
            )
        return self


class Vector(Section):
    """A vector that the source supplies, as it is or reduced; and whether there is one."""

    vector: Literal["media"]
    size: Annotated[int, Field(gt=0, le=4096)]  # entries that every supplied vector has
    reduce_to: PositiveInt | None = None
    with_: Literal["pca", "svd"] = Field("pca", alias="with")  # pca: around the mean; svd: around zero

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.vector,)

    @property
    def name(self) -> str:
        return self.vector

    @property
    def width(self) -> int:
        return (self.reduce_to or self.size) + 1

    @model_validator(mode="after")
    def reduction_reduces(self) -> Self:
        if self.reduce_to is not None and self.reduce_to > self.size:
            raise ValueError(f"reduce_to must not exceed size. Received reduce_to={self.reduce_to}, size={self.size}.")
        return self
