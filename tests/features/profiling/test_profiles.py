import datetime as dt
import statistics

import pytest

from features.profiling.config import Drift, Threshold
from features.profiling.drift import Drifted, beyond_thresholds, drift
from features.profiling.profiles import bin_counts, edges, profile, sample, sample_months
from features.schema import Column

COLUMNS = (
    Column("number", "double", ""),
    Column("label", "string", ""),
    Column("shares", "map<string,double>", ""),
)
NUMBERS = {"2020-01": [1.0, 2.0, None, 4.0, 8.0], "2020-02": [3.0] * 4 + [None]}
LABELS = {"2020-01": ["a", "b", "a", None, "b"], "2020-02": ["a", "c", "c", None, "b"]}


@pytest.fixture(scope="module")
def rows(spark):
    values = [
        (f"u{n}", dt.date.fromisoformat(f"{month}-15"), month, number, LABELS[month][n], {"x": 1.0} if n else {})
        for month, numbers in NUMBERS.items()
        for n, number in enumerate(numbers)
    ]
    schema = "user_id string, date date, month string, number double, label string, shares map<string,double>"
    return spark.createDataFrame(values, schema).cache()


def test_statistics_are_of_each_month_by_themselves(rows):
    found = {(r["feature"], r["month"], r["statistic"]): r["number"] for r in profile(rows, COLUMNS).collect()}
    known = [n for n in NUMBERS["2020-01"] if n is not None]
    expected = {
        ("number", "2020-01", "rows"): 5,
        ("number", "2020-01", "nulls"): 1 / 5,
        ("number", "2020-01", "distinct"): 4,
        ("number", "2020-01", "mean"): statistics.fmean(known),
        ("number", "2020-01", "std"): statistics.pstdev(known),
        ("number", "2020-01", "quantile_0.5"): 2.0,
        ("number", "2020-02", "std"): 0,
        ("label", "2020-02", "distinct"): 3,
        ("shares", "2020-01", "nulls"): 1 / 5,  # an empty map says nothing
    }
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert ("label", "2020-01", "mean") not in found


def test_a_sample_is_the_same_rows_every_time_and_all_where_they_are_few(spark, rows):
    assert sample(rows, "user_id", 10, 10).count() == 10
    many = spark.range(4_000).selectExpr("cast(id as string) as user_id", "DATE'2020-01-01' as date")
    once, again = (
        sorted(r[0] for r in sample(frame, "user_id", 1_000, 4_000).collect()) for frame in (many, many.repartition(3))
    )
    assert once == again
    assert 850 < len(once) < 1_150


def test_a_sample_has_as_many_rows_of_each_month_or_all_that_it_has(spark):
    large = spark.range(4_000).selectExpr("cast(id as string) as user_id", "DATE'2020-02-01' as date", "'2020-02' as month")
    small = spark.range(30).selectExpr("cast(id as string) as user_id", "DATE'2020-01-01' as date", "'2020-01' as month")
    others = small.selectExpr("user_id", "DATE'2019-12-01' as date", "'2019-12' as month")
    both = large.union(small).union(others)
    found = sample_months(both, "user_id", 1_000, {"2020-01": 30, "2020-02": 4_000}).groupBy("month").count().collect()
    months = {r["month"]: r["count"] for r in found}
    assert months.keys() == {"2020-01", "2020-02"}
    assert months["2020-01"] == 30
    assert 400 < months["2020-02"] < 600


def test_a_value_that_many_rows_share_has_a_bin_of_its_own(spark):
    values = [4.0, *[5.0] * 7, 6.0, 7.0]  # of which the deciles are 4, seven times 5, and 6
    reference, later = (
        spark.createDataFrame([("all", value) for value in some], "of string, number double")
        for some in (values, [*values, None, 3.0, 4.5])
    )
    found = bin_counts(later, edges(reference, ["number"], 10), "of").collect()
    assert {r["bin"]: r["rows"] for r in found} == {-1: 1, 0: 2, 1: 1, 2: 7, 3: 1, 4: 1}


def test_all_that_falls_below_the_one_value_of_the_reference_month_is_drift(spark):
    rows = [("2020-01", 5.0)] * 30 + [("2020-02", 3.0)] * 30 + [("2020-03", 5.0)] * 30
    frame = spark.createDataFrame(rows, "month string, number double")
    found = drift(frame, frame.where("month = '2020-01'"), ["number"], [], "2020-01")
    assert {(month, statistic): number > 0.5 for _, month, statistic, number in found} == {
        ("2020-02", "psi"): True,
        ("2020-02", "ks"): True,
        ("2020-03", "psi"): False,
        ("2020-03", "ks"): False,
    }


def test_drift_is_against_the_bins_of_the_reference_month(rows):
    reference = rows.where("month = '2020-01'")
    judged = drift(rows, reference, ["number"], ["label"], "2020-01")
    found = {(feature, statistic): number for feature, _, statistic, number in judged}
    # Of the reference one value in five each is null, 1, 2, 4 and 8; later all but the null lie above 2 and up to 4.
    assert found["number", "ks"] == pytest.approx(2 / 5)
    assert found["number", "psi"] > 1
    assert found["label", "new_labels"] == 2 / 5


def test_a_label_is_new_that_no_row_of_the_reference_month_has_and_not_only_none_of_the_sample(rows):
    sampled, reference = rows.where("month > '2020-01' OR label = 'b'"), rows.where("month = '2020-01'")
    assert [number for *_, number in drift(sampled, reference, [], ["label"], "2020-01")] == [2 / 5]  # c, and not a


def test_the_newest_month_of_each_feature_is_judged_by_the_thresholds():
    rows = [
        ("few rows of late", "2020-02", "psi", 0.6),
        ("a", "2020-02", "psi", 9.0),
        ("a", "2020-03", "psi", 0.3),
        ("b", "2020-03", "psi", 0.6),
        ("c", "2020-03", "ks", 1.0),
    ]
    found = [Drifted(*row) for row in rows]
    warned, failed = beyond_thresholds(found, Drift(reference="2020-01", psi=Threshold(warn=0.25, fail=0.5)))
    assert (warned, failed) == ([found[2]], [found[0], found[3]])
