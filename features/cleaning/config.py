"""What a scenario declares about cleaning: repetitions, caps, outliers and what fills missing values. All has a default."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from features.cleaning.check_config import Check
from features.cleaning.columns import CLEANED, Table, table_of
from features.section import Section
from features.source.config import EVENT_COLUMNS, SourceConfig

Share = Annotated[float, Field(ge=0, le=1)]


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


class Cap(Section):
    """More events of one user or item on one day (UTC) than can be meant."""

    key: Literal["user_id", "item_id"] = "user_id"
    per_day: PositiveInt
    refuse: Literal["day", "excess"] = "day"  # all of the key's events of that day, or those after the first `per_day`

    @property
    def reason(self) -> str:
        """A user with a day that is refused whole is taken for a bot."""
        return "bot" if (self.key, self.refuse) == ("user_id", "day") else f"{self.key}_over_cap"


class Outliers(Section):
    """Numbers outside of bounds that are fitted on the training period and stored in `statistics`."""

    column: Literal["value", "price", "year", "age"]
    rule: Literal["iqr", "z_score", "quantile"] = "iqr"
    # iqr: so many interquartile ranges below the first and above the third quartile (Tukey's fences; 1.5 where none is
    # given); z_score: so many standard deviations around the mean (3).
    factor: PositiveFloat | None = None
    quantiles: tuple[Share, Share] | None = None  # quantile: the bounds (0.01 and 0.99)
    by: Literal["event_type", "categories", "segment"] | None = None  # fitted per type, first category or segment
    then: Literal["quarantine", "clip"] = (
        "quarantine"  # clip: the nearest bound; `<column>_before_clipping` keeps what was there
    )

    @property
    def table(self) -> Table:
        return table_of(self.column)

    @property
    def reason(self) -> str:
        """The name that a refused number goes by."""
        return f"{self.column}_outlier"

    @property
    def width(self) -> float:
        return self.factor or {"iqr": 1.5, "z_score": 3.0, "quantile": 0.0}[self.rule]

    @property
    def fractions(self) -> tuple[float, float]:
        return self.quantiles or (0.01, 0.99)

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names of the lower and the upper bound in `statistics`; with `training_until` they say all that decides the fit."""
        numbers = self.fractions if self.rule == "quantile" else (self.width,)
        name = "_".join([self.rule, *[f"{n:g}" for n in numbers], *([f"by_{self.by}"] if self.by else [])])
        return f"{name}_low", f"{name}_high"

    @model_validator(mode="after")
    def rule_fits(self) -> Self:
        given = {"factor": self.factor, "quantiles": self.quantiles}
        wrong = "factor" if self.rule == "quantile" else "quantiles"
        if given[wrong] is not None:
            raise ValueError(f"{wrong} is not what {self.rule} is given. Received {wrong}={given[wrong]}.")
        if self.quantiles is not None and self.quantiles[0] >= self.quantiles[1]:
            raise ValueError(f"quantiles must be [low, high]. Received {list(self.quantiles)}.")
        group = {"events": "event_type", "items": "categories", "users": "segment"}[self.table]
        if self.by not in (None, group):
            raise ValueError(f"{self.column} can be grouped by {group}. Received by={self.by}.")
        return self


class Impute(Section):
    """Fills a column where it is missing; `<column>_imputed` says where."""

    column: str  # price, year, categories, age; carried_forward: value or context.<name>
    with_: Literal["constant", "mean", "median", "mode", "carried_forward"] = Field("median", alias="with")
    by: Literal["categories", "segment", "event_type", "item_id"] | None = None
    value: float | str | None = None  # of constant

    @property
    def table(self) -> Table:
        return table_of(self.column)

    @property
    def statistics(self) -> tuple[str, ...]:
        """Name in `statistics` of what fills; it says all that decides the fit."""
        return (f"{self.with_}_by_{self.by}" if self.by else self.with_,)

    @model_validator(mode="after")
    def method_fits_column(self) -> Self:
        if (self.with_ == "constant") != (self.value is not None):
            raise ValueError(f"value is given with constant, and only then. Received with={self.with_}, value={self.value}.")
        if self.with_ == "constant" and self.by is not None:
            raise ValueError(f"a constant is the same for all, so it takes no by. Received by={self.by}.")
        if self.with_ == "constant" and CLEANED[self.table].kind(self.column) == "number" and not _is_number(self.value):
            raise ValueError(f"{self.column} is a number, and so is the constant that fills it. Received value={self.value!r}.")
        if (self.with_ == "carried_forward") != (self.table == "events"):
            raise ValueError(
                "carried_forward is for value and context.<name>, the others for price, year, categories and age. "
                f"Received column={self.column}, with={self.with_}."
            )
        if self.table == "events" and self.column != "value" and not self.column.startswith("context."):
            raise ValueError(f"column must be value, context.<name>, price, year, categories or age. Received {self.column!r}.")
        if self.column == "tags" or (self.column == "categories" and self.with_ not in ("constant", "mode")):
            raise ValueError(f"{self.column} can be imputed with constant or mode. Received with={self.with_}.")
        groups = {"value": ("event_type", "item_id"), "categories": (), "age": ("segment",)}
        default = ("event_type", "item_id") if self.table == "events" else ("categories",)
        if self.by is not None and self.by not in groups.get(self.column, default):
            raise ValueError(f"{self.column} cannot be imputed by {self.by}.")
        return self


class CleanConfig(Section):
    checks: tuple[Check, ...] = ()
    earliest: datetime.date = datetime.date(1990, 1, 1)  # an event before it is refused
    latest: datetime.date | None = None  # an event after this day, UTC, is refused; one after the run began always is
    duplicates: Duplicates = Duplicates()
    caps: tuple[Cap, ...] = ()
    outliers: tuple[Outliers, ...] = ()
    # Bounds of `value` are fitted on events before this day, UTC: sequences.split.valid_from. None: the split has no dates,
    # and the two newest events of each user and type are left out.
    training_until: datetime.date | None = None
    impute: tuple[Impute, ...] = ()  # in this order: a later one may group by what an earlier one has filled
    max_refused: Share = 0.2  # share of refused rows above which the run ends with 3

    @model_validator(mode="after")
    def latest_is_not_before_earliest(self) -> Self:
        if self.latest is not None and self.latest < self.earliest:
            raise ValueError(f"latest must not be before earliest. Received latest={self.latest}, earliest={self.earliest}.")
        return self

    @model_validator(mode="after")
    def declared_once(self) -> Self:
        _once("outliers", [o.column for o in self.outliers])
        _once("impute", [i.column for i in self.impute])
        _once("caps", [c.key for c in self.caps])
        return self

    @model_validator(mode="after")
    def failing_checks_have_their_reason_alone(self) -> Self:
        ends = {o: {(c.table, c.reason) for c in self.checks if c.otherwise == o} for o in ("quarantine", "fail")}
        for table, reason in sorted(ends["quarantine"] & ends["fail"]):
            raise ValueError(
                f"checks of one column and rule cannot both quarantine and fail, since both give the reason {reason}, which "
                f"would fail for either. Received both for {table}."
            )
        return self

    def checks_of(self, table: Table) -> list[Check]:
        return [c for c in self.checks if c.table == table]

    def outliers_of(self, table: Table) -> list[Outliers]:
        return [o for o in self.outliers if o.table == table]

    def imputed_of(self, table: Table) -> list[Impute]:
        return [i for i in self.impute if i.table == table]

    @property
    def marks(self) -> dict[str, str]:
        """What cleaning adds to the context of events that it changes, and the column that each is about."""
        clipped = {f"{o.column}_before_clipping": o.column for o in self.outliers_of("events") if o.then == "clip"}
        return clipped | {f"{i.column.removeprefix('context.')}_imputed": i.column for i in self.imputed_of("events")}

    def missing_sources(self, source: SourceConfig) -> list[str]:
        """Rules about a table or a column that the source does not give: they would see null in every row."""
        needed: list[tuple[str, Table]] = [
            (f"clean.checks refers_to {c.refers_to}", c.refers_to) for c in self.checks if c.refers_to
        ]
        needed += [(f"clean.checks {c.column}", c.table) for c in self.checks]
        needed += [(f"clean.outliers {o.column}", o.table) for o in self.outliers]
        needed += [(f"clean.impute {i.column}", i.table) for i in self.impute]
        absent = {rule for rule, table in needed if getattr(source, table) is None}
        columns = [(f"clean.checks {c.column}", c.table, c.column) for c in self.checks]
        columns += [(f"clean.outliers {o.column}", o.table, o.column) for o in self.outliers]
        columns += [(f"clean.impute {i.column}", i.table, i.column) for i in self.impute if i.with_ != "constant"]
        return sorted(absent | {rule for rule, table, column in columns if not _is_given(source, table, column)})


def _is_number(value: object) -> bool:
    """True: finite; a text is one too where it comes from the environment."""
    try:
        return math.isfinite(float(str(value)))
    except ValueError:
        return False


def _once(what: str, names: Iterable[str]) -> None:
    twice = sorted(name for name, n in Counter(names).items() if n > 1)
    if twice:
        raise ValueError(f"{what} are declared once per column. Received twice: {', '.join(twice)}.")


def _is_given(source: SourceConfig, table: Table, column: str) -> bool:
    """True: each row has the column anyhow, or it is mapped, or listed among those of the table's map."""
    cleaned, given = CLEANED[table], getattr(source, table)
    if given is None or column in cleaned.always:
        return True
    if column.startswith(f"{cleaned.map}."):
        return column.removeprefix(f"{cleaned.map}.") in getattr(given, cleaned.map)
    return column in given.columns
