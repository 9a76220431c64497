import math

import numpy as np
import pytest
from pyspark.sql import functions as F

from features.scaling import fit, scale, z_scores
from features.schema import conform
from features.tables import STATISTICS

UNTIL = 1_600_000_000_000_000


def _frame(spark):
    return spark.createDataFrame(
        [(1.0, 0, 5.0, None, -3.0), (2.0, 7, 5.0, None, 3.0), (None, 1, 5.0, None, 0.0)],
        "plain double, events_count_7d bigint, constant double, empty double, value_sum_7d double",
    )


def _scaled(spark, name):
    logarithmic = {"events_count_7d", "value_sum_7d"}
    statistics = conform(fit(_frame(spark), "t", _frame(spark).columns, UNTIL, logarithmic), STATISTICS)
    column = _frame(spark).select(scale(name, z_scores(statistics, "t")).alias("z"))
    assert (column.schema["z"].dataType.simpleString(), column.schema["z"].nullable) == ("float", False)
    return [row["z"] for row in column.collect()]


def test_a_z_score_is_the_distance_from_the_mean_in_standard_deviations_and_null_is_the_mean(spark):
    assert _scaled(spark, "plain") == pytest.approx([-1, 1, 0])


def test_what_is_spread_over_orders_of_magnitude_is_scaled_as_logarithms_with_their_sign(spark):
    logs = np.log1p([0, 7, 1])
    assert _scaled(spark, "events_count_7d") == pytest.approx((logs - logs.mean()) / logs.std(), abs=1e-5)
    assert _scaled(spark, "value_sum_7d") == pytest.approx([-math.sqrt(1.5), math.sqrt(1.5), 0], abs=1e-5)


def test_a_column_that_does_not_vary_or_has_no_value_says_nothing(spark):
    assert _scaled(spark, "constant") == [0, 0, 0]
    assert _scaled(spark, "empty") == [0, 0, 0]


def test_statistics_say_until_when_their_data_went(spark):
    rows = fit(_frame(spark), "t", ["plain"], UNTIL).select("statistic", "number", F.unix_micros("fitted_until").alias("until"))
    assert {tuple(r) for r in rows.collect()} == {("mean", 1.5, UNTIL), ("std", 0.5, UNTIL)}


def test_z_scores_are_those_of_the_owner(spark):
    both = fit(_frame(spark), "t", ["plain"], UNTIL).unionByName(fit(_frame(spark), "other", ["constant"], UNTIL))
    assert set(z_scores(both, "t")) == {"plain"}
