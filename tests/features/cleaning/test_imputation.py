from __future__ import annotations

from functools import reduce

from pyspark.sql import DataFrame

from features.cleaning.config import Impute
from features.cleaning.imputation import fit
from features.cleaning.imputation import imputed as imputed_by

TYPES = "item_id string, categories array<string>, price double, categories_imputed boolean, price_imputed boolean"


def items(spark, *rows: tuple):
    return spark.createDataFrame([(str(i), *row, False, False) for i, row in enumerate(rows)], TYPES)


def imputed(entities, rules):
    """Filled by statistics that are fitted as they are asked for, and those statistics."""
    used = []

    def fitted(rule, rows):
        used.append(fit(rows, rule))
        return used[-1]

    return imputed_by(entities, rules, fitted), reduce(DataFrame.unionByName, used) if used else None


def rule(**given: object) -> Impute:
    return Impute.model_validate(given)


def prices(frame) -> list[tuple[float | None, bool]]:
    return [(r.price, r.price_imputed) for r in frame.orderBy("item_id").collect()]


def numbers(statistics) -> dict[tuple[str, str], float]:
    return {(r.group, r.statistic): r.number for r in statistics.collect()}


def test_a_missing_price_gets_the_median_of_its_category_else_of_all(spark):
    frame = items(spark, (["a"], 1.0), (["a", "b"], 3.0), (["b"], 10.0), (["a"], None), (["c"], None), ([], None))
    filled, statistics = imputed(frame, [rule(column="price", by="categories")])
    assert prices(filled) == [(1.0, False), (3.0, False), (10.0, False), (2.0, True), (3.0, True), (3.0, True)]
    assert numbers(statistics) == {
        ("", "median_by_categories"): 3.0,
        ("a", "median_by_categories"): 2.0,
        ("b", "median_by_categories"): 10.0,
    }


def test_mean_mode_and_constant_are_what_they_say(spark):
    frame = items(spark, ([], 1.0), ([], 5.0), ([], 5.0), ([], 1.0), ([], 9.0), ([], None))
    expected = {"mean": 21.0 / 5, "mode": 1.0, "constant": 7.5}  # of two modes the smaller
    for method, value in expected.items():
        given = rule(**{"column": "price", "with": method} | ({"value": 7.5} if method == "constant" else {}))
        filled, statistics = imputed(frame, [given])
        assert prices(filled)[-1] == (value, True)
        assert numbers(statistics) == {("", method): value}


def test_missing_categories_get_the_commonest_and_later_rules_see_them(spark):
    frame = items(spark, (["b"], 4.0), (["b", "c"], 6.0), (["a"], 100.0), ([], None))
    filled, statistics = imputed(frame, [rule(column="categories", **{"with": "mode"}), rule(column="price", by="categories")])
    last = filled.where("item_id = '3'").head()
    assert (last.categories, last.categories_imputed, last.price, last.price_imputed) == (["b"], True, 5.0, True)
    assert [r.label for r in statistics.where("column = 'categories'").collect()] == ["b"]


def test_where_nothing_was_observed_nothing_is_made_up(spark):
    filled, statistics = imputed(items(spark, (["a"], None)), [rule(column="price", by="categories")])
    assert prices(filled) == [(None, False)]
    assert statistics.count() == 0


def test_without_rules_the_items_stay_as_they_are(spark):
    frame = items(spark, (["a"], None))
    assert imputed(frame, []) == (frame, None)
