from __future__ import annotations

import statistics as definition

import pytest
from pyspark.sql import functions as F

from features.cleaning.config import Duplicates, Outliers
from features.cleaning.duplicates import with_duplicate
from features.cleaning.outliers import fit, training_events, with_outliers
from tests.features.raw import event_frame

VALUES = [1.0, 2.0, 4.0, 7.0, 11.0, 500.0]


def rule(**given: object) -> Outliers:
    return Outliers.model_validate({"column": "value"} | given)


def quantile(values: list[float], share: float) -> float:
    """Linear between the two nearest ranks (type 7)."""
    ordered, place = sorted(values), share * (len(values) - 1)
    low = int(place)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(values) - 1)] - ordered[low])


def bounds(frame) -> dict[str, tuple[float, float]]:
    found: dict[str, dict[str, float]] = {}
    for row in frame.collect():
        found.setdefault(row.group, {})[row.statistic.rpartition("_")[2]] = row.number
    return {group: (b["low"], b["high"]) for group, b in found.items()}


def test_bounds_are_what_their_rule_says_over_all_and_per_group(spark):
    rows = [{"value": v} for v in VALUES] + [{"event_type": "buy", "value": v} for v in (10.0, 20.0)] + [{"value": None}]
    events, everything = event_frame(spark, rows).cache(), [*VALUES, 10.0, 20.0]
    q1, q3 = quantile(everything, 0.25), quantile(everything, 0.75)
    assert bounds(fit(events, rule(factor=2))) == {"": (q1 - 2 * (q3 - q1), q3 + 2 * (q3 - q1))}
    found = bounds(fit(events, rule(rule="quantile", quantiles=[0.1, 0.9], by="event_type")))
    expected = {"": everything, "view": VALUES, "buy": [10.0, 20.0]}
    for group, values in expected.items():
        assert found[group] == pytest.approx((quantile(values, 0.1), quantile(values, 0.9)))
    mean, std = definition.mean(everything), definition.pstdev(everything)
    assert bounds(fit(events, rule(rule="z_score")))[""] == pytest.approx((mean - 3 * std, mean + 3 * std), rel=1e-6)
    assert fit(events.where("value IS NULL"), rule()).count() == 0


def test_outliers_are_refused_or_clipped_and_the_number_before_is_kept(spark):
    rows = [{"value": v} for v in (0.5, 1.0, 9.0, 9.5)] + [{"value": None}, {"value": 99.0, "reasons": ["line_broken"]}]
    rows += [{"event_type": "buy", "value": 9.5}, {"event_type": "new", "value": 9.5, "context": {"d": "web"}}]
    given = rule(by="event_type")
    names = [(g, f"iqr_1.5_by_event_type_{n}", v) for g, n, v in (("", "low", 1.0), ("", "high", 9.0), ("buy", "low", 0.0))]
    names += [("buy", "iqr_1.5_by_event_type_high", 10.0)]
    fitted = spark.createDataFrame(names, "group string, statistic string, number double")
    refused = with_outliers(event_frame(spark, rows), given, fitted).orderBy("row").collect()
    bad = ["value_outlier"]
    assert [r.reasons for r in refused] == [bad, [], [], bad, [], ["line_broken"], [], bad]
    clipped = with_outliers(event_frame(spark, rows), rule(by="event_type", then="clip"), fitted).orderBy("row").collect()
    assert [r.value for r in clipped] == [1.0, 1.0, 9.0, 9.0, None, 99.0, 9.5, 9.0]
    marks = [r.context for r in clipped]
    assert (marks[0], marks[1], marks[7]) == (
        {"value_before_clipping": "0.5"},
        {},
        {"d": "web", "value_before_clipping": "9.5"},
    )


@pytest.mark.parametrize("given", [{"rule": "iqr"}, {"rule": "quantile", "quantiles": [0, 1]}, {"rule": "z_score"}])
def test_a_rounded_bound_refuses_nothing_that_the_exact_one_lets_through(spark, given):
    alike = [1299.99, 9.99, -9.99, 0.1 + 0.2, 12.3456789, 0.0000123456, 1.0000000001, 123456.78]
    rows = [{"event_type": f"{v}", "value": w} for v in alike for w in (v, v, 1.01 * v, 1.01 * v)]
    rows += [{"event_type": f"only {v}", "value": v} for v in alike for _ in range(3)]
    rows += [{"event_type": "others", "value": v} for v in (1000.14, 1000.26, 1299.99)]
    events, declared = event_frame(spark, rows).cache(), rule(by="event_type", **given)
    refused = with_outliers(events, declared, fit(events, declared)).where("size(reasons) > 0").collect()
    assert [r.value for r in refused] == []


@pytest.mark.parametrize("given", [{"rule": "iqr"}, {"rule": "quantile", "quantiles": [0.1, 0.8]}, {"rule": "z_score"}])
def test_of_numbers_that_do_not_spread_none_is_an_outlier(spark, given):
    same, spread = [0.1 + 0.2] * 9, [float(n) for n in range(21)]
    rows = [{"event_type": "spread", "value": v} for v in spread] + [{"event_type": "alone", "value": 1299.99}]
    rows += [{"event_type": "same", "value": v} for v in (same if given["rule"] == "z_score" else [*same, 7.0])]
    events, declared = event_frame(spark, rows).cache(), rule(by="event_type", **given)
    fitted = fit(events, declared)
    assert {group for group, (low, high) in bounds(fitted).items() if low is None and high is None} == {"alone", "same"}
    refused = with_outliers(events, declared, fitted).where("size(reasons) > 0").select("event_type").distinct().collect()
    assert [r.event_type for r in refused] in ([], ["spread"])
    apart = fit(events.where("event_type = 'same'"), declared)
    assert bounds(apart) == {"": (None, None), "same": (None, None)}
    assert with_outliers(events, declared, apart).where("size(reasons) > 0").isEmpty()


def test_without_bounds_nothing_is_an_outlier(spark):
    nothing = spark.createDataFrame([], "group string, statistic string, number double")
    assert with_outliers(event_frame(spark, [{"value": 1e9}]), rule(), nothing).head().reasons == []


def test_what_is_held_back_is_not_fitted_on(spark):
    rows = [{"second": s, "value": float(s)} for s in range(4)] + [{"user_id": "v", "value": 7.0}]
    rows += [{"second": 9, "value": 9.0, "reasons": ["bot"]}, {"second": 3, "value": 3.0}]
    rows += [{"second": s, "event_type": "buy", "value": 10.0 - s} for s in range(-3, 0)]
    events = with_duplicate(event_frame(spark, rows), Duplicates())
    # Neither a repeat of the newest view nor newer events of another type let in the two newest views; nor views the buys.
    assert sorted(r.value for r in training_events(events, None).collect()) == [0.0, 1.0, 13.0]
    until = F.lit("2024-05-01 12:00:02").cast("timestamp")
    assert sorted(r.value for r in training_events(events, until).collect()) == [0.0, 1.0, 7.0, 11.0, 12.0, 13.0]
    assert {str(r.fitted_until) for r in fit(events, rule(), until).collect()} == {"2024-05-01 12:00:02"}
