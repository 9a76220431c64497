"""Ways to make a number comparable with others: what each fits on the training period, and how it applies that."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.content.fields import Scaling
from features.scaling import LOG_MEAN, LOG_STD, MEAN, STD, moments, signed_log


def to_fit(scaling: Scaling, number: Column) -> dict[str, Column]:
    """Aggregates over the training period, by name of the statistic. Quantiles are fitted apart, within groups."""
    match scaling:
        case "z_score":
            return moments(number)
        case "log":
            return moments(number, of_log=True)
        case "min_max":
            return {"min": F.min(number), "max": F.max(number)}
        case "quantile":
            return {}


def normalised(scaling: Scaling, number: Column, fitted: Mapping[str, float]) -> Column:
    """The number as z-score (also of its logarithm), or as the share in [0, 1] of the way from least to greatest.

    Args:
        number: double; null gives null.
        fitted: the statistics of `to_fit` by name. Where they lack one or the number did not vary, the result is null.
    """
    match scaling:
        case "z_score":
            return _linear(number, fitted.get(MEAN), fitted.get(STD))
        case "log":
            return _linear(signed_log(number), fitted.get(LOG_MEAN), fitted.get(LOG_STD))
        case "min_max":
            low, high = fitted.get("min"), fitted.get("max")
            share = _linear(number, low, None if low is None or high is None else high - low)
            return F.when(
                share.isNotNull(), F.greatest(F.lit(0.0), F.least(F.lit(1.0), share))
            )  # least and greatest skip nulls
        case "quantile":
            raise ValueError("quantiles are applied by features.quantiles.quantile, which knows groups.")


def _linear(number: Column, zero: float | None, unit: float | None) -> Column:
    return F.lit(None).cast("double") if zero is None or not unit else (number - zero) / unit
