"""What a scenario declares about single columns: contracts that every row keeps."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from features.cleaning.columns import CLEANED, Table
from features.section import Section

RULES = ("not_null", "between", "one_of", "matches", "unique", "refers_to")


class Check(Section):
    """A rule that every row of a table keeps: exactly one of `RULES`. A value that is null breaks not_null only."""

    table: Table = "events"
    column: str  # a further source column is context.<name> of events, attributes.<name> of items and users
    not_null: Literal[True] | None = None  # for a list: it has an entry
    between: tuple[float, float] | None = None  # both included
    one_of: tuple[str, ...] | None = None  # a list: every entry
    matches: str | None = None  # a regular expression of Java that is found in the text, or in every entry of a list
    unique: Literal[True] | None = None  # of rows that hold the same value, the first in source order stays
    refers_to: Literal["items", "users"] | None = None
    otherwise: Literal["quarantine", "fail", "warn"] = "quarantine"

    @property
    def rule(self) -> str:
        return next(r for r in RULES if getattr(self, r) is not None)

    @property
    def reason(self) -> str:
        """The name that a broken check goes by."""
        what = {"not_null": "missing", "between": "out_of_range", "one_of": "not_allowed", "matches": "mismatch"}
        return f"{self.column}_{(what | {'unique': 'repeated', 'refers_to': 'unknown'})[self.rule]}"

    @model_validator(mode="after")
    def one_rule(self) -> Self:
        rules = [r for r in RULES if getattr(self, r) is not None]
        if len(rules) != 1:
            raise ValueError(f"a check has exactly one of {', '.join(RULES)}. Received {rules}.")
        if self.between and self.between[0] > self.between[1]:
            raise ValueError(f"between must be [low, high]. Received {list(self.between)}.")
        if self.one_of == ():
            raise ValueError(f"one_of must have a value that {self.column} may have. Received none.")
        self._check_column()
        return self

    def _check_column(self) -> None:
        cleaned, entity = CLEANED[self.table], (self.refers_to or "").removesuffix("s")
        kind = cleaned.kind(self.column)
        if kind is None:
            known = sorted(cleaned.texts | cleaned.numbers | cleaned.lists)
            raise ValueError(
                f"column of {self.table} must be one of {known} or {cleaned.map}.<name>. Received {self.column!r}."
            )
        if entity and (self.table, self.column) != ("events", f"{entity}_id"):
            raise ValueError(f"only {entity}_id of events refers to {self.refers_to}. Received {self.column} of {self.table}.")
        if self.not_null and self.column in cleaned.always:
            raise ValueError(f"{self.table} are always refused without {self.column}. Received not_null for it.")
        if (self.between is not None) != (kind == "number") and self.rule in ("between", "one_of", "matches"):
            numbers = ", ".join(sorted(cleaned.numbers))
            raise ValueError(f"between is the rule for a number ({numbers}), and for no other. Received column={self.column}.")
        if self.unique and kind == "list":
            raise ValueError(f"a list cannot be unique. Received column={self.column}.")
