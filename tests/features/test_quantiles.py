import numpy as np
from pyspark.sql import functions as F

from features.quantiles import bucket, fit_quantiles, knots_by_group, quantile

RNG = np.random.default_rng(5)
PAIRS = [(v, k) for k in ([1.0, 2.0, 4.0], [1.0, 1.0, 3.0], [2.0, 2.0, 2.0], sorted(RNG.normal(size=5).tolist()))
         for v in (-9.0, 0.9, 1.0, 1.5, 2.0, 3.0, 4.0, 9.0, k[1])]  # fmt: skip


def by_definition(value: float, knots: list[float]) -> float:
    """The middle of the shares that could be meant: those of the first and of the last knot of this value."""
    shares = np.linspace(0, 1, len(knots))
    on = [s for s, k in zip(shares, knots, strict=True) if k == value]
    return (on[0] + on[-1]) / 2 if on else float(np.interp(value, knots, shares))


def test_a_quantile_is_linear_between_knots_and_in_the_middle_where_they_coincide(spark):
    frame = spark.createDataFrame([*PAIRS, (None, [1.0, 2.0]), (1.0, None)], "value double, knots array<double>")
    edges = F.when(F.col("value").isNotNull(), bucket(F.col("value"), [1.0, 2.0]))
    rows = frame.select("value", quantile(F.col("value"), F.col("knots")).alias("q"), edges.alias("bucket")).collect()
    np.testing.assert_allclose([r["q"] for r in rows[: len(PAIRS)]], [by_definition(*pair) for pair in PAIRS], atol=1e-12)
    assert [r["q"] for r in rows[len(PAIRS) :]] == [None, None]
    for row in rows:  # an edge belongs to the bucket above it
        assert row["bucket"] == (None if row["value"] is None else (row["value"] >= 1) + (row["value"] >= 2))


def test_knots_are_fitted_over_all_rows_and_within_groups(spark):
    values = {"a": [4.0, 1.0, 2.0], "b": [10.0], None: [7.0]}
    rows = [(group, value) for group, found in values.items() for value in found] + [("a", None)]
    frame = spark.createDataFrame(rows, "g string, x double")
    statistics = fit_quantiles(frame, "t", "x", F.col("x"), 4, 0, F.col("g")).persist()
    groups = {row["group"]: row["knots"] for row in knots_by_group(statistics, "t", "x", 4).collect()}
    assert groups.keys() == {"a", "b"}
    for group, knots in groups.items():
        np.testing.assert_allclose(knots, np.quantile(values[group], [0, 0.25, 0.5, 0.75, 1]))
    overall = {row["statistic"]: row["number"] for row in statistics.where("group = ''").collect()}
    shares = np.quantile(np.concatenate([*values.values()]), [0, 0.25, 0.5, 0.75, 1])
    assert overall == {f"quantile_{i}_of_4": share for i, share in enumerate(shares)}
