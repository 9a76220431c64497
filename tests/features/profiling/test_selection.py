import datetime as dt
import math

import numpy as np
import pytest

from features.profiling.config import Selection
from features.profiling.selection import Measured, choose, clusters, measure

GOOD = Measured(nulls=0.1, distinct=50, information=0.2)


def _choose(measured, correlations=None, **rule):
    return choose(measured, np.eye(len(measured)) if correlations is None else np.array(correlations), Selection(**rule))


def test_each_rule_leaves_out_what_breaks_it_and_says_why():
    measured = {
        "good": GOOD,
        "empty": Measured(0.995, 50, 0.2),
        "constant": Measured(0.0, 1, 0.0),
        "useless": Measured(0.0, 50, 0.001),
    }
    choices = _choose(measured, min_information=0.01)
    assert {name: choice.reason for name, choice in choices.items()} == {
        "good": "",
        "empty": "0.995 of it are null",
        "constant": "1 different values",
        "useless": "0.0010 nats of the label",
    }


def test_of_a_cluster_the_most_informative_stays_though_links_are_indirect():
    measured = {"a": GOOD, "b": Measured(0.0, 50, 0.3), "c": GOOD, "alone": GOOD}
    chain = [[1, -0.95, 0.5, 0], [-0.95, 1, 0.95, 0], [0.5, 0.95, 1, 0], [0, 0, 0, 1]]
    choices = _choose(measured, chain, max_correlation=0.9)
    assert {name: choice.reason for name, choice in choices.items()} == {
        "a": "correlated with b",
        "b": "",
        "c": "correlated with b",
        "alone": "",
    }
    assert [choice.cluster for choice in choices.values()] == [0, 0, 0, 1]


def test_what_a_rule_leaves_out_does_not_stand_for_its_cluster():
    measured = {"a": Measured(1.0, 50, 0.9), "b": GOOD}
    assert _choose(measured, [[1, 1], [1, 1]], max_correlation=0.9)["b"].kept


def test_a_feature_that_does_not_vary_is_correlated_with_nothing():
    assert clusters(np.array([[1, math.nan], [math.nan, math.nan]]), 0.9) == [0, 1]


def test_a_copy_is_linked_though_its_correlation_is_off_1_by_the_last_bit():
    assert clusters(np.array([[1, math.nextafter(1, 0)], [math.nextafter(1, 0), 1]]), 1.0) == [0, 0]
    assert clusters(np.array([[1, 1 - 1e-6], [1 - 1e-6, 1]]), 1.0) == [0, 1]


def test_a_label_that_is_mostly_its_maximum_is_told_from_what_lies_below(spark):
    label = [5.0] * 19 + [1.0]
    frame = spark.createDataFrame([(y, float(y == 5), 1.0) for y in label], "label double, is_best double, nothing double")
    measured, _ = measure(frame, ["is_best", "nothing"])
    entropy = -0.95 * math.log(0.95) - 0.05 * math.log(0.05)
    assert measured["is_best"].information == pytest.approx(entropy - 1 / 40)
    assert measured["nothing"].information == 0


def test_measures_follow_from_the_rows(spark):
    label = [float(n % 4) for n in range(400)]
    rows = [
        ("k", dt.date(2020, 1, 1), y, int(y), -2.0 * y, None if n % 4 == 0 else 1.0, float(n // 4 % 5))
        for n, y in enumerate(label)
    ]
    frame = spark.createDataFrame(rows, "k string, date date, label double, same int, minus double, known double, other double")
    measured, correlations = measure(frame, ["same", "minus", "known", "other"])
    assert [m.nulls for m in measured.values()] == [0, 0, 0.25, 0]
    assert [m.distinct for m in measured.values()] == [4, 4, 1, 5]
    entropy_of_one_in_four = 0.25 * math.log(4) + 0.75 * math.log(4 / 3)
    # Less what chance gives 400 rows: (bins - 1)(bins of the label - 1) / 800.
    expected = [math.log(4) - 9 / 800, math.log(4) - 9 / 800, entropy_of_one_in_four - 3 / 800, 0]
    assert [m.information for m in measured.values()] == pytest.approx(expected, abs=1e-9)
    assert correlations[0, 1] == pytest.approx(-1)
    assert correlations[0, 3] == pytest.approx(0, abs=1e-9)


def test_the_median_stands_for_null_also_where_most_values_are_one(spark):
    half = [None, None, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0]
    rows = [(0.0, value, float(n % 4)) for n, value in enumerate(half)]
    _, correlations = measure(spark.createDataFrame(rows, "label double, half double, other double"), ["half", "other"])
    filled = [value or 0.0 for value in half]  # its median is 0
    assert correlations[0, 1] == pytest.approx(np.corrcoef(filled, [other for _, _, other in rows])[0, 1])


def test_one_row_says_nothing_of_correlations(spark):
    measured, correlations = measure(spark.createDataFrame([(1.0, 2.0, 3.0)], "label double, a double, b double"), ["a", "b"])
    assert [m.distinct for m in measured.values()] == [1, 1]
    assert correlations.tolist() == [[1, 0], [0, 1]]
