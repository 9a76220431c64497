"""Operations on a number that events have: value, price, year, or a number of their context."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.trailing.operations.base import Operation, Part, Past, as_name, column_name, event_number
from features.trailing.operations.counts import SESSIONS, decayed

if TYPE_CHECKING:
    from features.trailing.feature import Feature


def _chosen(inside: Column, of: str) -> Column:
    return F.when(inside, event_number(of))


def sum_part(of: str) -> Part:
    column = column_name(of)
    sum_ = lambda inside: F.coalesce(F.sum(_chosen(inside, of)), F.lit(0.0))  # noqa: E731
    return Part(f"{column}_sum", "double", f"sum of {column}; 0: none has one", of, sum_)


def count_part(of: str) -> Part:
    column = column_name(of)
    return Part(f"{column}_count", "bigint", f"events with {column}", of, lambda inside: F.count(_chosen(inside, of)))


def variance_part(of: str) -> Part:
    column = column_name(of)
    comment = f"variance of {column} within the day, of the population; null: none has one"
    return Part(f"{column}_variance", "double", comment, of, lambda inside: F.var_pop(_chosen(inside, of)))


class _OfNumber(Operation):
    accepts = frozenset({"number"})
    type = "double"
    empty = "null: none has one"
    nullable = True


class Sum(_OfNumber):
    empty, nullable, logarithmic = "0: none has one", False, True

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        return (sum_part(feature.of),)

    def value(self, feature: Feature, past: Past) -> Column:
        return past.sum(sum_part(feature.of))

    def text(self, feature: Feature) -> str:
        return f"sum of {feature.column}"


class Mean(_OfNumber):
    accepts = frozenset({"number", "sessions"})

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        if feature.of == "sessions":
            return (sum_part("session_seconds"), SESSIONS)
        return (sum_part(feature.of), count_part(feature.of))

    def value(self, feature: Feature, past: Past) -> Column:
        sum_, count = self.parts(feature)
        return F.try_divide(past.sum(sum_), past.sum(count))

    def text(self, feature: Feature) -> str:
        return "mean length of a session in seconds" if feature.of == "sessions" else f"mean {feature.column}"


class SmoothedMean(Mean):
    """The mean of a key with few events is drawn to `prior`, as if it had `smoothing` events of that more.

    Of `value`, or of a number that says whether something followed, this is a target encoding of the key that sees its
    past alone (Micci-Barreca 2001, with a declared prior: a fitted one would have seen the whole period).
    """

    accepts, needs = _OfNumber.accepts, frozenset({"smoothing", "prior"})

    def value(self, feature: Feature, past: Past) -> Column:
        sum_, count = self.parts(feature)
        smoothing, prior = float(feature.smoothing or 0), float(feature.prior or 0)
        return F.when(past.sum(count) > 0, (past.sum(sum_) + smoothing * prior) / (past.sum(count) + smoothing))

    def text(self, feature: Feature) -> str:
        return f"mean {feature.column}, {feature.smoothing} events of {feature.prior} added,"


class Extreme(_OfNumber):
    """The least or the greatest."""

    def __init__(self, word: str, extreme: Callable[[Column], Column]) -> None:
        self.word, self.extreme = word, extreme

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        column, of = feature.column, feature.of
        comment = f"{self.word} {column}; null: none has one"
        return (Part(f"{column}_{feature.operation}", "double", comment, of, lambda inside: self.extreme(_chosen(inside, of))),)

    def value(self, feature: Feature, past: Past) -> Column:
        return past.over(self.extreme(past.column(*self.parts(feature))))

    def text(self, feature: Feature) -> str:
        return f"{self.word} {feature.column}"


class Std(_OfNumber):
    """Standard deviation of the population, from the days' means and variances.

    Squares of differences from the mean of the window are added, not differences of squares, which lose their digits
    where the mean is large (Chan, Golub & LeVeque 1979).
    """

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        return (sum_part(feature.of), count_part(feature.of), variance_part(feature.of))

    def value(self, feature: Feature, past: Past) -> Column:
        sum_, count, variance = self.parts(feature)
        n, mean = past.sum(count), F.try_divide(past.sum(sum_), past.sum(count))
        day = F.struct(
            past.column(count).alias("n"),
            F.try_divide(past.column(sum_), past.column(count)).alias("mean"),
            past.column(variance).alias("variance"),
        )
        days = past.over(F.collect_list(F.when(past.column(count) > 0, day)))
        squares = F.aggregate(days, F.lit(0.0), lambda s, d: s + d["n"] * (d["variance"] + F.pow(d["mean"] - mean, 2)))
        return F.sqrt(F.try_divide(squares, n))

    def text(self, feature: Feature) -> str:
        return f"standard deviation (of the population) of {feature.column}"


class DecayedSum(_OfNumber):
    empty, nullable, logarithmic, needs = "0: none has one", False, True, frozenset({"half_life"})

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        return (sum_part(feature.of),)

    def value(self, feature: Feature, past: Past) -> Column:
        return decayed(past, sum_part(feature.of), feature)

    def text(self, feature: Feature) -> str:
        return f"sum of {feature.column}, each weighted by 1/2 to the power of its age in days by {feature.half_life},"

    def name(self, feature: Feature) -> str:
        return f"decayed_sum_{as_name(feature.half_life)}d"
