"""What a scenario declares about the content of items and users that the model reads."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Discriminator, Tag, model_validator

from features.content.fields import Bucket, Cross, Labels, Number, Text, Vector, attribute_of
from features.section import Section

_KINDS = {"labels": Labels, "number": Number, "bucket": Bucket, "cross": Cross, "text": Text, "vector": Vector}


def _kind(value: Any) -> str | None:
    """Which encoding a declaration is; None: not exactly one."""
    if not isinstance(value, dict):
        return next((name for name, kind in _KINDS.items() if isinstance(value, kind)), None)
    given = [key for key in _KINDS if key in value]
    return given[0] if len(given) == 1 else None


ContentField = Annotated[
    Annotated[Labels, Tag("labels")]
    | Annotated[Number, Tag("number")]
    | Annotated[Bucket, Tag("bucket")]
    | Annotated[Cross, Tag("cross")]
    | Annotated[Text, Tag("text")]
    | Annotated[Vector, Tag("vector")],
    Discriminator(
        _kind,
        custom_error_type="content_field",
        custom_error_message=f"a field of content has exactly one of {', '.join(_KINDS)}",
    ),
]
LabelField = Labels | Bucket | Cross
NumberField = Number | Text | Vector
Fields = Sequence[LabelField | NumberField]


def label_fields(fields: Fields) -> list[LabelField]:
    """Those that make labels, in their order, but for the categories: they have an embedding of their own."""
    return [f for f in fields if isinstance(f, LabelField) and not (isinstance(f, Labels) and f.labels == "categories")]


def number_fields(fields: Fields) -> list[NumberField]:
    """Those that make numbers, in their order."""
    return [f for f in fields if isinstance(f, NumberField)]


def has_categories(fields: Fields) -> bool:
    return any(isinstance(f, Labels) and f.labels == "categories" for f in fields)


@dataclass(frozen=True)
class _Columns:
    """The columns of an entity by what can be made of them; attributes can be labels, numbers and texts."""

    labels: frozenset[str]
    numbers: frozenset[str]
    texts: frozenset[str] = frozenset()
    vectors: frozenset[str] = frozenset()

    def check(self, key: str, fields: Fields) -> None:
        buckets = {f.name for f in fields if isinstance(f, Bucket)}
        for f in fields:
            fitting = {
                Labels: self.labels, Number: self.numbers, Bucket: self.numbers, Cross: self.labels | buckets,
                Text: self.texts, Vector: self.vectors,
            }[type(f)]  # fmt: skip
            for column in f.reads:
                known = self.labels if isinstance(f, Number) and column == f.by else fitting
                if column not in known and (attribute_of(column) is None or isinstance(f, Vector)):
                    kind = "by" if known is not fitting else type(f).__name__.lower()
                    raise ValueError(f"{key}: {kind} must be of {sorted(known)} or attributes.NAME. Received {column!r}.")


_ITEM = _Columns(
    frozenset({"categories", "tags"}), frozenset({"price", "year", "age"}), frozenset({"title", "text"}), frozenset({"media"})
)
_USER = _Columns(frozenset({"segment"}), frozenset({"age"}))


_DEFAULT: dict[str, LabelField | NumberField] = {  # by the column that it reads
    "categories": Labels(labels="categories"),
    "price": Number(number="price", scale=("log",)),
    "year": Number(number="year"),
}


def default_content(columns: Container[str]) -> tuple[ContentField, ...]:
    """What the item tower reads where nothing is declared, of a catalogue with these columns."""
    return tuple(field for column, field in _DEFAULT.items() if column in columns)


class ContentConfig(Section):
    # What the item tower reads beside the item's id; age is years since `year`. Null: what source.items maps of categories,
    # price and year
    item: tuple[ContentField, ...] | None = None
    user: tuple[ContentField, ...] = ()  # makes user_content

    def of(self, entity: str) -> tuple[ContentField, ...]:
        """The fields of `item` or `user`; none where they are not known yet."""
        return (self.item or ()) if entity == "item" else self.user

    @model_validator(mode="after")
    def fields_fit_columns(self) -> Self:
        for key, columns in (("item", _ITEM), ("user", _USER)):
            fields = self.of(key)
            columns.check(key, fields)
            for kind in (LabelField, NumberField):
                names = [f.name for f in fields if isinstance(f, kind)]
                twice = sorted({name for name in names if names.count(name) > 1})
                if twice:
                    raise ValueError(f"{key}: a column must be declared once. Received twice: {', '.join(twice)}.")
        return self

    def attributes(self, entity: str) -> set[str]:
        """The further source columns that the fields of an entity read."""
        return {a for f in self.of(entity) for column in f.reads if (a := attribute_of(column))}
