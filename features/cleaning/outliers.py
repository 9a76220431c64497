"""Numbers far from the others: refused, or clipped to the nearest bound.

Bounds are fitted over all rows, and per group where a rule names one; they are rows of `statistics`, and what is applied is
what is stored. A group without numbers has the bounds over all rows; where numbers do not spread, nothing is an outlier.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.cleaning.columns import CLEANED
from features.cleaning.config import Outliers
from features.cleaning.duplicates import is_kept
from features.cleaning.grouped import FITTED, group_of, with_fitted
from features.cleaning.imputation import mean_of
from features.cleaning.marks import marked
from features.schema import conform
from features.tables import STATISTICS

_HELD_BACK = 2  # newest events of a user, that leave_one_out keeps for validation and test


def training_events(events: DataFrame, until: Column | None) -> DataFrame:
    """The kept events that bounds may be fitted on.

    Args:
        events: with `duplicate`, since a repetition is no newer event.
        until: events before this instant; None: all but the two newest of each user and type, so that among them are the
            two that leave_one_out holds back, whichever types enter sequences.
    """
    kept = events.where(is_kept())
    if until is not None:
        return kept.where(F.col("event_time") < until)
    newest = Window.partitionBy("user_id", "event_type").orderBy(F.desc("event_time"))
    return kept.withColumn("_newer", F.rank().over(newest)).where(F.col("_newer") > _HELD_BACK)


def fit(rows: DataFrame, rule: Outliers, until: Column | None = None) -> DataFrame:
    """Rows of `statistics`: the lower and the upper bound of each group that has numbers, and of all rows together.

    They are null where the numbers do not spread, so that a later run knows that they were fitted.

    Quantiles are exact, of numbers rounded to 4 significant digits: so many numbers need memory for the few thousand that
    differ, and the order of the rows changes nothing. Mean and deviation are rounded to float32 for the same reason.
    The lower bound is rounded down and the upper one up: what the exact bounds let through, these do.

    Args:
        rows: of the training period only.
        until: instant before which they end; None: they have no time, or no common one.
    """
    observed = rows.where(F.col(rule.column).isNotNull()).select(
        group_of(rule.by).alias("group"), F.col(rule.column).alias("number")
    )
    bounds = _bounds(rule).alias("bounds")
    if rule.by is None:
        found = observed.groupBy("group").agg(bounds)
    else:
        both = observed.rollup("group").agg(bounds, F.grouping("group").alias("all"))
        found = both.where((F.col("all") == 1) | F.col("group").isNotNull())
    rows_of_bounds = [
        F.struct(F.lit(name).alias("statistic"), F.col("bounds")[i].alias("number")) for i, name in enumerate(rule.statistics)
    ]
    numbers = found.select(F.coalesce("group", F.lit("")).alias("group"), F.inline(F.array(*rows_of_bounds)))
    return conform(
        numbers.withColumns(
            {
                "owner": F.lit(rule.table),
                "column": F.lit(rule.column),
                "label": F.lit(None).cast("string"),
                "fitted_until": (F.lit(None) if until is None else until).cast("timestamp"),
            }
        ),
        STATISTICS,
    )


def with_outliers(rows: DataFrame, rule: Outliers, statistics: DataFrame) -> DataFrame:
    """Refuses kept rows whose number is out of bounds, as `rule.reason`, or clips the number to the nearest bound.

    What was clipped stands in the row's map of further columns (context, attributes) as `<column>_before_clipping`.
    """
    number, further = F.col(rule.column), CLEANED[rule.table].map
    bounded = _with_bounds(rows, rule, statistics)
    outside = is_kept() & ~number.between(F.col("_low"), F.col("_high"))
    if rule.then == "quarantine":
        refused = F.when(outside, F.array(F.lit(rule.reason))).otherwise(F.col("reasons"))
        return bounded.withColumn("reasons", refused).drop("_low", "_high")
    mark = marked(further, f"{rule.column}_before_clipping", number.cast("string"))
    return bounded.withColumns(
        {
            further: F.when(outside, mark).otherwise(F.col(further)),
            rule.column: F.when(outside, F.greatest(F.least(number, "_high"), "_low")).otherwise(number),
        }
    ).drop("_low", "_high")


def _with_bounds(rows: DataFrame, rule: Outliers, statistics: DataFrame) -> DataFrame:
    """Adds _low and _high, null where there are none."""
    low, high = (F.max(F.when(F.col("statistic") == name, F.col("number"))) for name in rule.statistics)
    bounds = statistics.groupBy("group").agg(F.struct(low.alias("low"), high.alias("high")).alias("value"))
    found = with_fitted(rows, bounds, rule.by)
    return found.withColumns({"_low": F.col(FITTED)["low"], "_high": F.col(FITTED)["high"]}).drop(FITTED)


def _bounds(rule: Outliers) -> Column:
    """Array of the lower and the upper bound; null where what they are told from does not spread."""
    if rule.rule == "z_score":
        mean, reach = mean_of("number"), rule.width * F.stddev_pop("number")
        spreads = F.min("number") < F.max("number")  # a deviation may be off 0 by its last bit
        return F.when(spreads, F.array(_outwards(mean - reach, -1), _outwards(mean + reach, 1)))
    shares = rule.fractions if rule.rule == "quantile" else (0.25, 0.75)
    down, up = (F.percentile(_to_4_digits("number", rounded), shares) for rounded in (F.floor, F.ceil))
    low, high = down[0], up[1]
    width = F.lit(rule.width) * (high - low)  # 0 of quantiles, which are the bounds themselves
    return F.when((low < down[1]) | (up[0] < high), F.array(low - width, high + width))


def _outwards(bound: Column, sign: int) -> Column:
    """The nearest float32, moved by more than what rounding it, and the mean to 8 places, can have taken."""
    near = bound.cast("float").cast("double")
    return near + sign * (F.abs(near) * 2**-23 + 1e-8)


def _to_4_digits(name: str, rounded: Callable[[Column], Column]) -> Column:
    """The number rounded by F.floor or F.ceil; least and greatest, since scaling may end beyond it by its last bit."""
    number = F.col(name)
    scale = F.pow(F.lit(10.0), 3 - F.floor(F.log10(F.abs(number))))
    beyond = F.least if rounded is F.floor else F.greatest
    found = beyond(number, rounded(number * scale) / scale)
    return F.when(F.abs(number).between(1e-100, 1e100), found).otherwise(number)
