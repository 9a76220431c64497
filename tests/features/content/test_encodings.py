"""Every encoding on one small catalogue, fitted and applied once; what it must be is computed here by numpy."""

import math
import re

import numpy as np
import pytest
from pyspark.sql import functions as F

from features.content.config import ContentConfig
from features.content.encoding import encoded_items, user_content
from features.content.fit import fit_projections, fit_statistics
from features.content.fitted import Fitted
from features.content.labels import content_labels
from features.content.vectors import check_vectors
from features.errors import ContractError
from features.schema import conform
from features.tables import ITEM_VOCABULARY, LABEL_VOCABULARY, PROJECTIONS, STATISTICS, USER_CONTENT, USERS
from tests.features.rows import items_frame

UNTIL = 1_577_836_800_000_000  # 2020-01-01
CONFIG = ContentConfig.model_validate(
    {
        "item": [
            {"labels": "categories"},
            {"labels": "tags", "slots": 2},
            {"labels": "attributes.brand"},
            {"bucket": "price", "edges": [2, 8]},
            {"bucket": "year", "quantiles": 2},
            {"cross": ["categories", "price_bucket"], "size": 9, "slots": 2},
            {"cross": ["tags", "attributes.brand"], "size": 5, "slots": 4},
            {"number": "price", "scale": ["log", "min_max", "quantile"], "by": "categories"},
            {"number": "age", "scale": ["z_score", "log"]},
            {"number": "attributes.pages"},
            {"text": ["title", "text"], "size": 3, "terms": 4},
            {"vector": "media", "size": 3, "reduce_to": 2, "with": "pca"},
        ],
        "user": [{"labels": "segment"}, {"labels": "attributes.sex"}, {"bucket": "age", "edges": [30]}, {"number": "age"}],
    }
)
FITTED = {
    "a": {"categories": ["x", "y"], "tags": ["t", "u", "v"], "price": 1.0, "year": 1990.0, "title": "Red dragon",
          "text": "a dragon, red as fire", "media": [1.0, 0.0, 2.0], "attributes": {"brand": "B", "pages": "100"}},
    "b": {"categories": ["x"], "tags": ["u"], "price": 2.0, "year": 2000.0, "title": "Fire!", "media": [0.0, 1.0, 2.0],
          "attributes": {"brand": "C", "pages": "300"}},
    "c": {"categories": ["x"], "price": 4.0, "year": 2010.0, "title": "Green dragon", "media": [3.0, 1.0, 1.0],
          "attributes": {"brand": "B", "pages": "many"}},
    "d": {"categories": ["y"], "price": 16.0, "year": 2015.0, "text": "green fire green", "media": [1.0, 1.0, 0.0]},
    "e": {"price": 7.0, "price_imputed": True},
}  # fmt: skip
NEW = {
    "n": {"categories": ["new"], "tags": ["w", "t"], "price": 100.0, "year": 2030.0, "title": "unheard of",
          "media": [2.0, 2.0, 2.0], "attributes": {"brand": "B"}},
}  # fmt: skip
ITEMS = FITTED | NEW
FIRST_LABEL = 2


@pytest.fixture(scope="module")
def fitted(spark) -> Fitted:
    items = items_frame(spark, FITTED).persist()
    statistics = conform(fit_statistics(items, CONFIG.item, "item_content", UNTIL), STATISTICS).persist()
    text, vectors = fit_projections(items, CONFIG.item, "item_content", UNTIL)
    return Fitted("item_content", statistics, conform(text.unionByName(vectors), PROJECTIONS).persist())


@pytest.fixture(scope="module")
def vocabulary(spark, fitted) -> dict[str, int]:
    """Of labels of the fitted items alone, so that those of the new item are unknown."""
    found = content_labels(items_frame(spark, FITTED), CONFIG.item, fitted).collect()
    assert {row["column"] for row in found} == {"item_content"}
    assert len(found) == len({row["label"] for row in found})
    return {label: n for n, label in enumerate(sorted(row["label"] for row in found), FIRST_LABEL)}


@pytest.fixture(scope="module")
def encoded(spark, fitted, vocabulary):
    indices = spark.createDataFrame([(i, n) for n, i in enumerate(ITEMS, 2)], ITEM_VOCABULARY.schema)
    labels = spark.createDataFrame([("item_content", *pair) for pair in vocabulary.items()], LABEL_VOCABULARY.schema)
    rows = encoded_items(items_frame(spark, ITEMS), indices, labels, CONFIG.item, fitted, max_categories=2).collect()
    return {row["item_id"] or row["index"]: row for row in rows}


def _numbers(encoded, start: int, count: int) -> dict[str, np.ndarray]:
    return {i: np.array(encoded[i]["numbers"][start : start + count]) for i in ITEMS}


def _z(values: list[float], of: float) -> float:
    return (of - np.mean(values)) / np.std(values)


def test_a_price_is_scaled_by_logarithm_by_range_and_by_quantile_within_its_category(encoded):
    found, observed = _numbers(encoded, 0, 4), [1.0, 2.0, 4.0, 16.0]  # e's price was imputed
    within = {"a": [1.0, 2.0, 4.0], "b": [1.0, 2.0, 4.0], "c": [1.0, 2.0, 4.0], "d": [16.0], "e": observed, "n": observed}
    knots = {i: np.quantile(values, np.linspace(0, 1, 21)) for i, values in within.items()}
    for i, item in ITEMS.items():
        log, share = _z(np.log1p(observed).tolist(), math.log1p(item["price"])), (item["price"] - 1) / 15
        quantile = 0.5 if i == "d" else np.interp(item["price"], knots[i], np.linspace(0, 1, 21))
        np.testing.assert_allclose(found[i], [log, min(share, 1), quantile, i != "e"], atol=1e-6)


def test_the_age_of_an_item_ends_with_the_training_period_and_never_is_negative(encoded):
    found, ages = _numbers(encoded, 4, 3), [2020 - FITTED[i]["year"] for i in "abcd"]
    for i, item in ITEMS.items():
        if "year" not in item:
            np.testing.assert_array_equal(found[i], [0, 0, 0])
        else:
            age = max(0.0, 2020 - item["year"])
            np.testing.assert_allclose(found[i], [_z(ages, age), _z(np.log1p(ages), math.log1p(age)), 1], atol=1e-2)


def test_an_attribute_that_is_a_number_is_scaled_and_text_in_it_is_unknown(encoded):
    expected = {"a": [-1, 1], "b": [1, 1]}
    for i, numbers in _numbers(encoded, 7, 2).items():
        np.testing.assert_allclose(numbers, expected.get(i, [0, 0]), atol=1e-6)


def _scores(vector: np.ndarray, values: np.ndarray, directions: np.ndarray, size: int) -> list[float]:
    """A vector along the first directions, each scaled by its spread and turned so that its greatest entry is positive."""
    turned = [d * np.sign(d[np.argmax(np.abs(d.round(6)))]) for d in directions[:size]]
    return [vector @ d / v * math.sqrt(len("abcd")) for v, d in zip(values[:size], turned, strict=True)]


def _tf_idf() -> tuple[dict[str, np.ndarray], list[str]]:
    words = {i: re.findall(r"\w{2,}", f"{x.get('title', '')} {x.get('text', '')}".lower()) for i, x in ITEMS.items()}
    texts = [words[i] for i in FITTED if words[i]]
    counts = {w: sum(w in text for text in texts) for text in texts for w in text}
    vocabulary = sorted((w for w, n in counts.items() if n > 1), key=lambda w: (-counts[w], w))[:4]
    idf = [math.log((len(texts) + 1) / (counts[w] + 1)) for w in vocabulary]
    vectors = {i: np.array([text.count(w) for w in vocabulary]) * idf for i, text in words.items()}
    return {i: v / (np.linalg.norm(v) or 1) for i, v in vectors.items()}, vocabulary


def test_a_text_is_its_tf_idf_along_the_singular_vectors_of_the_fitted_texts(encoded, fitted):
    vectors, terms = _tf_idf()
    assert [row["term"] for row in fitted.projections.where("term is not null").orderBy("entry").collect()] == terms
    matrix = np.stack([vectors[i] for i in "abcd"])
    _, values, directions = np.linalg.svd(matrix)
    expected = {}
    for i in ITEMS:
        expected[i] = _scores(vectors[i], values, directions, 3)
        np.testing.assert_allclose(_numbers(encoded, 9, 4)[i], [*expected[i], i != "e"], atol=1e-4)
    np.testing.assert_allclose(np.mean([np.square(expected[i]) for i in "abcd"], axis=0), 1)


def test_a_supplied_vector_is_reduced_to_its_principal_components(encoded):
    given = np.array([FITTED[i]["media"] for i in "abcd"])
    mean = given.mean(axis=0)
    _, values, directions = np.linalg.svd(given - mean)
    for i, numbers in _numbers(encoded, 13, 3).items():
        if i == "e":
            np.testing.assert_array_equal(numbers, [0, 0, 0])
            continue
        away = np.array(ITEMS[i]["media"]) - mean
        np.testing.assert_allclose(numbers, [*_scores(away, values, directions, 2), 1], atol=1e-4)


def _labels(encoded, vocabulary, item: str) -> list[tuple[str, float]]:
    names = {index: label for label, index in vocabulary.items()} | {1: "unknown"}
    row = encoded[item]
    return [(names[n], round(w, 6)) for n, w in zip(row["labels"], row["label_weights"], strict=True) if n]


def test_labels_buckets_and_crosses_stand_in_their_order_and_each_column_weighs_1(encoded, vocabulary):
    crossed = '["x","0"]', '["y","0"]'
    pairs = _labels(encoded, vocabulary, "a")
    assert pairs[:4] == [("tags=t", 0.5), ("tags=u", 0.5), ("brand=B", 1.0), ("price_bucket=0", 1.0)]
    assert pairs[4:7] == [("year_bucket=0", 1.0), *[(f"categories_x_price_bucket={c}", 0.5) for c in crossed]]
    assert _labels(encoded, vocabulary, "d") == [
        ("price_bucket=2", 1.0), ("year_bucket=1", 1.0), ('categories_x_price_bucket=["y","2"]', 1.0),
    ]  # fmt: skip
    assert _labels(encoded, vocabulary, "e") == [("price_bucket=1", 1.0)]  # imputed, but not unknown
    for row in encoded.values():
        assert len(row["labels"]) == len(row["label_weights"]) == 2 + 1 + 1 + 1 + 2 + 4
        assert all((w == 0) == (n == 0) for n, w in zip(row["labels"], row["label_weights"], strict=True))


def test_a_cross_of_more_combinations_than_its_size_is_hashed_and_a_smaller_one_is_exact(encoded, vocabulary):
    hashed = {label for label in vocabulary if label.startswith("tags_x_brand=")}  # 3 tags x 2 brands > 5
    assert hashed <= {f"tags_x_brand=#{n}" for n in range(5)}
    assert [w for label, w in _labels(encoded, vocabulary, "a") if label in hashed] == [pytest.approx(1 / 3, abs=1e-6)] * 3
    assert sum(label.startswith("categories_x_price_bucket=[") for label in vocabulary) == 4  # 2 categories x 3 buckets <= 9


def test_labels_that_the_vocabulary_lacks_are_unknown_and_padding_has_none(encoded, vocabulary):
    assert _labels(encoded, vocabulary, "n")[:2] == [("unknown", 0.5), ("tags=t", 0.5)]
    for reserved in (0, 1):
        assert not any(encoded[reserved]["numbers"] + encoded[reserved]["labels"] + encoded[reserved]["label_weights"])


def test_users_are_encoded_as_items_are(spark):
    rows = [("u", "DE", 20.0, False, {"sex": "f"}), ("v", "FR", 40.0, False, {}), ("w", None, 30.0, True, {})]
    users = spark.createDataFrame(rows, USERS.schema)
    owner = "user_content"
    fitted = Fitted(owner, fit_statistics(users, CONFIG.user, owner, UNTIL).persist())
    names = ["segment=DE", "sex=f", "age_bucket=0", "age_bucket=1"]
    labels = spark.createDataFrame([(owner, name, n) for n, name in enumerate(names, 2)], LABEL_VOCABULARY.schema)
    found = {r["user_id"]: r for r in conform(user_content(users, labels, CONFIG.user, fitted), USER_CONTENT).collect()}
    assert {u: r["labels"] for u, r in found.items()} == {"u": [2, 3, 4], "v": [1, 5, 0], "w": [5, 0, 0]}
    assert {u: r["numbers"] for u, r in found.items()} == {"u": [-1, 1], "v": [1, 1], "w": [0, 0]}


def test_where_nothing_is_declared_nothing_is_fitted_and_items_are_empty(spark):
    items = items_frame(spark, {"a": FITTED["a"]})
    statistics = conform(fit_statistics(items, (), "item_content", UNTIL), STATISTICS)
    assert statistics.isEmpty()
    indices, labels = (
        spark.createDataFrame([("a", 2)], ITEM_VOCABULARY.schema),
        spark.createDataFrame([], LABEL_VOCABULARY.schema),
    )
    rows = encoded_items(items, indices, labels, (), Fitted("item_content", statistics), max_categories=2)
    assert {(row["item_id"], *map(len, row[2:])) for row in rows.collect()} == {("", 0, 0, 0, 0), ("a", 0, 0, 0, 0)}


def test_what_was_fitted_says_until_when_its_data_went(fitted):
    for table in (fitted.statistics, fitted.projections):
        assert [row[0] for row in table.select(F.unix_micros("fitted_until")).distinct().collect()] == [UNTIL]


def test_a_vector_of_another_size_is_refused_with_the_first_item_that_has_one(spark):
    items = items_frame(spark, {"b": {"media": [1.0]}, "a": {"media": [1.0, 2.0]}, "c": {"media": [1.0, 2.0, 3.0]}, "d": {}})
    with pytest.raises(ContractError, match=r"media must have the 3 entries .* Received 2 items .* such as a with 2"):
        check_vectors(items, CONFIG.item[-1])
