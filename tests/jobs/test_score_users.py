"""score_users on a warehouse that can be read by eye."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from features.sequences.sequences import latest_windows
from features.sequences.steps import UserFeatures
from features.sequences.vocabularies import Vocabularies
from features.trailing.tables import model_features, zero_features
from jobs import score_users
from jobs.runtime.config import load
from models.inputs import FIRST, HISTORY, PADDING, UNKNOWN
from models.network.transformer import Recommender
from tests.contents import contents, differences
from tests.jobs import tiny_warehouse as tw
from tests.jobs.tiny_warehouse import Tiny
from tests.models.examples import predicted_by_loop

AS_OF = datetime.date(2026, 3, 9)  # the day after the last event
ITEMS = [f"i{n}" for n in range(8)]
WALKS = {
    "u1": ["i0", "i1", "i2", "i3", "i4", "i5"],
    "u2": ["i1", "i0", "i1"],
    "u3": ["i2", "i1", "i6", "i0"],
    "saw_everything": ITEMS,
    "stranger": ["gone"],  # an item that the vocabulary does not know
}
USERS = [
    tw.user("u1", "young", 20.0), tw.user("u2", "young"), tw.user("u3", "new", 50.0),
    tw.user("cold_young", "young"), tw.user("cold_alone", "nobody else"), tw.user("cold_plain"),
]  # fmt: skip
# What is known of them: age as z-score and whether it is known, the segment (one that came later is unknown), its weight.
KNOWN_OF = {
    "u1": {"user_numbers": [-1, 1], "user_labels": [2], "user_label_weights": [1]},
    "u2": {"user_numbers": [0, 0], "user_labels": [2], "user_label_weights": [1]},
    "u3": {"user_numbers": [2, 1], "user_labels": [UNKNOWN], "user_label_weights": [1]},
    "saw_everything": {"user_numbers": [0, 0], "user_labels": [PADDING], "user_label_weights": [0]},  # not in `users`
}
TABLES = ("item_vectors", "user_vectors", "recommendations")
TOP_K = 3
SCORES = (1.0, -0.75, None, 0.5, -1.0)  # of the values that events have, in turns


@pytest.fixture(scope="module")
def untouched(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tiny, Recommender]:
    tiny = tw.make(spark, tmp_path_factory.mktemp("tiny"), WALKS, ITEMS, USERS, SCORES)
    return tiny, tw.with_model(tiny)


@pytest.fixture
def tiny(untouched: tuple[Tiny, Recommender], tmp_path: Path) -> Tiny:
    """A copy to break."""
    return tw.copy(untouched[0], tmp_path)


@pytest.fixture(scope="module")
def scored(untouched: tuple[Tiny, Recommender], tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    copy = tw.copy(untouched[0], tmp_path_factory.mktemp("scored"))
    assert score_users.main(["--config", copy.conf]) == 0
    return copy


def _vectors(tiny: Tiny, entity: str) -> dict[str, np.ndarray]:
    rows = tiny.table(f"{entity}_vectors").collect()
    assert {(row["model_id"], row["date"]) for row in rows} == {("m1", AS_OF)}
    return {row[f"{entity}_id"]: np.array(row["vector"], np.float32) for row in rows}


def _lists(tiny: Tiny) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in tiny.table("recommendations").orderBy("user_id", "rank").collect():
        found.setdefault(row["user_id"], []).append(row)
    return found


def test_vectors_are_those_of_the_trained_model(scored: Tiny, untouched: tuple[Tiny, Recommender]) -> None:
    named = Vocabularies(*(scored.table(f"{name}_vocabulary") for name in ("item", "user", "label")))
    declared = scored.scenario.features.user
    features = UserFeatures(scored.table("user_features"), model_features(declared), zero_features(declared))
    frames = (features, named, scored.table("statistics"))
    windows = latest_windows(scored.table("events"), *frames, scored.scenario.sequences, AS_OF).collect()
    windows = [row for row in windows if row["user_id"] != "stranger"]
    found = [row.asDict() | KNOWN_OF[row["user_id"]] for row in windows]
    rows = {i.name: np.array([row[i.name] for row in found], i.dtype) for i in HISTORY}
    states, items = tw.states_of(untouched[1], scored, rows)
    users = _vectors(scored, "user")
    assert users.keys() == {row["user_id"] for row in windows} == WALKS.keys() - {"stranger"}
    for number, row in enumerate(windows):
        np.testing.assert_allclose(users[row["user_id"]], states[number, row["events"] - 1], atol=1e-5)
    found = _vectors(scored, "item")
    np.testing.assert_allclose(np.stack([found[i] for i in ITEMS]), items[FIRST:], atol=1e-5)


def test_a_user_with_a_vector_gets_the_best_scores_among_the_unseen(scored: Tiny) -> None:
    users, items, lists = _vectors(scored, "user"), _vectors(scored, "item"), _lists(scored)
    for user in ("u1", "u2", "u3"):
        last = WALKS[user][-tw.MAX_LENGTH :]  # the chain is fitted on what the model looks back at
        added = tw.bonus_of([FIRST + ITEMS.index(i) for i in last], FIRST + len(ITEMS))[FIRST:]
        scores = {i: float(users[user] @ items[i] + added[n]) for n, i in enumerate(ITEMS) if i not in WALKS[user]}
        best = sorted(scores, key=lambda i: (-scores[i], ITEMS.index(i)))[:TOP_K]  # u1 has but two items left
        assert [(r["rank"], r["item_id"], r["source"]) for r in lists[user]] == [(n, i, "model") for n, i in enumerate(best, 1)]
        assert [r["score"] for r in lists[user]] == pytest.approx([scores[i] for i in best], rel=1e-5)
    assert "saw_everything" not in lists


def test_users_without_a_vector_go_down_the_chain(scored: Tiny) -> None:
    lists = {user: [(r["item_id"], r["score"], r["source"]) for r in rows] for user, rows in _lists(scored).items()}
    young, popular = "popular_in_segment", "popular"
    assert lists["cold_young"] == [("i0", 2.0, young), ("i1", 2.0, young), ("i2", 1.0, young)]
    anywhere = [("i0", 4.0, popular), ("i1", 4.0, popular), ("i2", 3.0, popular)]
    assert lists["cold_alone"] == lists["cold_plain"] == lists["stranger"] == anywhere


def test_only_events_that_enter_sequences_make_an_item_popular(untouched: tuple[Tiny, Recommender]) -> None:
    tiny = untouched[0]
    past = tiny.table("events").withColumn("event_type", F.when(F.col("user_id") == "u1", "return").otherwise("view"))
    run: Any = SimpleNamespace(config=load(tiny.conf, ["sequences.event_types=[view]"]), read=tiny.table)
    none: Any = None
    scoring = score_users.Scoring(run, AS_OF, past, past, tiny.table("item_vocabulary"), none, "", none)
    cold = tiny.spark.createDataFrame([("cold", "young", [])], "user_id string, segment string, seen array<int>")
    chain = score_users._chains(scoring, cold).where("segment = 'young'").orderBy("position").limit(3).collect()
    young, popular = "popular_in_segment", "popular"  # of the young only u2 has views, u2, u3 and saw_everything of i0 and i1
    assert [(r["index"] - FIRST, r["score"], r["source"]) for r in chain] == [
        (0, 1.0, young),
        (1, 1.0, young),
        (2, 2.0, popular),
    ]


def test_a_recommendation_says_what_it_has_in_common_with_the_past(scored: Tiny) -> None:
    because = {r["item_id"]: (r["because_item_id"], r["because_similarity"]) for r in _lists(scored)["u1"]}
    assert because == {"i6": ("i0", 0.75), "i7": (None, None)}
    content = tw.content_of(scored)
    past, own = [FIRST + n for n in range(6)], FIRST + 6
    labels = [label for i in past for label in content.categories[i] if label]
    counts, mine = {label: labels.count(label) for label in labels}, [label for label in content.categories[own] if label]
    by_category = sum(counts.get(label, 0) for label in mine) / np.sqrt(len(mine) * sum(n * n for n in counts.values()))
    mean = content.numbers[past].mean(axis=0)
    by_content = content.numbers[own] @ mean / np.linalg.norm(content.numbers[own]) / np.linalg.norm(mean)
    row = next(r for r in _lists(scored)["u1"] if r["item_id"] == "i6")
    assert (row["category_similarity"], row["content_similarity"]) == pytest.approx((by_category, by_content))
    assert {r["category_similarity"] for r in _lists(scored)["cold_young"]} == {None}  # popular: nothing was compared


def test_a_recommendation_says_what_the_user_would_give_the_item(scored: Tiny, untouched: tuple[Tiny, Recommender]) -> None:
    users, items, alike = _vectors(scored, "user"), _vectors(scored, "item"), tw.values_of(FIRST + len(ITEMS))
    recommended = [
        (u, r["item_id"], r["value"]) for u, listed in _lists(scored).items() for r in listed if r["source"] == "model"
    ]
    for user, item, value in recommended:
        given = [(FIRST + ITEMS.index(i), SCORES[n % len(SCORES)]) for n, i in enumerate(WALKS[user])]
        past = [(index, z) for index, z in given if z is not None]
        head = untouched[1].values(users[user][None], items[item][None]).numpy()[0]
        assert value == pytest.approx(3.5 + 1.5 * predicted_by_loop(alike, head, past, FIRST + ITEMS.index(item)), rel=1e-4)
    assert {user for user, *_ in recommended} == {"u1", "u2", "u3"}
    assert {r["value"] for r in _lists(scored)["cold_young"]} == {None}


def test_of_a_model_of_likes_a_value_is_a_probability(scored: Tiny) -> None:
    statistics, logits = scored.table("statistics"), [-1.5, 0.0, 2.0]
    value = score_users._in_units(statistics, {"like_score": 0.2})
    rows = scored.spark.createDataFrame([(logit,) for logit in logits], "predicted double").select(value).collect()
    assert [row[0] for row in rows] == pytest.approx([1 / (1 + np.exp(-logit)) for logit in logits])
    assert score_users._in_units(statistics.where("owner != 'sequences'"), {}) is None  # values are implicit


def test_every_user_is_accounted_for(scored: Tiny) -> None:
    run = scored.table("runs").where("job = 'score_users'").orderBy("started_at").first()
    everyone = WALKS.keys() | {user["user_id"] for user in USERS}
    assert (run["rows_in"], run["rows_out"], run["rows_refused"]) == (len(everyone), len(everyone) - 1, 1)
    assert run["counts"]["users_without_candidates"] == 1  # saw_everything
    assert set(_lists(scored)) == everyone - {"saw_everything"}


def test_only_users_who_have_come_lately_are_scored_by_all_of_their_events(tiny: Tiny, scored: Tiny) -> None:
    assert score_users.main(["--config", tiny.conf, "--set", "scoring.active_days=4"]) == 0
    lately = {user for user, walk in WALKS.items() if len(walk) > 4}  # one event a day: of the eight days, in the last four
    found, before = ([(r["rank"], r["item_id"]) for r in _lists(of)["u1"]] for of in (tiny, scored))
    assert found == before and _lists(tiny).keys() == {"u1"}  # saw_everything has nothing left
    assert _vectors(tiny, "user").keys() == lately
    run = tiny.table("runs").first()
    everyone = WALKS.keys() | {user["user_id"] for user in USERS}
    assert run["counts"]["users_inactive"] == len(everyone) - len(lately)
    assert (run["rows_in"], run["rows_out"], run["rows_refused"]) == (len(everyone), 1, len(everyone) - 1)


def test_users_who_are_scored_again_get_the_same(scored: Tiny) -> None:
    before = contents(scored.spark, scored.path(""), TABLES)
    assert score_users.main(["--config", scored.conf, "--force"]) == 0
    assert differences(contents(scored.spark, scored.path(""), TABLES), before) == []
    versions = [scored.version(name) for name in TABLES]
    assert score_users.main(["--config", scored.conf]) == 0  # nothing is new: skipped
    assert [scored.version(name) for name in TABLES] == versions


def test_a_grown_vocabulary_is_scored_by_content_and_seen_items_may_stay(tiny: Tiny) -> None:
    tw.with_model(tiny, "m1", seed=8, predicts_values=False)
    tw.write_vocabulary(tiny, [*ITEMS, "new"], WALKS)
    tiny.write("items", [tw.item(i) for i in [*ITEMS, "new"]])
    assert score_users.main(["--config", tiny.conf, "--set", "scoring.exclude=[]", "--set", "scoring.top_k=20"]) == 0
    assert "new" in _vectors(tiny, "item")
    lists = _lists(tiny)
    for user in ("u1", "saw_everything"):
        assert {row["item_id"] for row in lists[user]} == {*ITEMS, "new"}
    assert [row["rank"] for row in lists["u1"]] == list(range(1, 10))
    assert {row["value"] for row in lists["u1"]} == {None}  # its model has not learnt values


def test_an_item_of_the_vocabulary_without_content_yet_is_as_one_that_it_does_not_know(tiny: Tiny, scored: Tiny) -> None:
    tw.write_indices(tiny, [*ITEMS, "gone"])
    assert score_users.main(["--config", tiny.conf]) == 0
    found, expected = (contents(tiny.spark, of.path(""), TABLES) for of in (tiny, scored))
    assert differences(found, expected) == []


def _with_year(tiny: Tiny, mean: float, std: float) -> None:
    """Statistics that scale the year of items by these."""
    year = {"owner": "item_content", "column": "year", "group": "", "label": None, "fitted_until": tw.DAY0}
    rows = [row.asDict() for row in tiny.table("statistics").where("owner <> 'item_content'").collect()]
    tiny.write("statistics", rows + [year | {"statistic": s, "number": n} for s, n in (("mean", mean), ("std", std))])


def test_items_are_encoded_by_the_numbers_that_the_model_was_trained_with(tiny: Tiny) -> None:
    _with_year(tiny, mean=1990.0, std=10.0)
    model = tw.with_model(tiny, "m2", seed=8)
    _with_year(tiny, mean=1000.0, std=1.0)
    assert score_users.main(["--config", tiny.conf]) == 0
    now = tw.content_of(tiny)
    now.categories[FIRST:] = (2, 0)  # all items are of category a, have a price that was not scaled, and are of 2000
    now.numbers[:FIRST], now.numbers[FIRST:] = 0, (0, 1, 1, 1)
    expected = dict(zip(ITEMS, model.item_vectors(now).numpy()[FIRST:], strict=True))
    found = {row["item_id"]: row["vector"] for row in tiny.table("item_vectors").where("model_id = 'm2'").collect()}
    assert found.keys() == expected.keys()
    for item_id, vector in found.items():
        np.testing.assert_allclose(vector, expected[item_id], atol=1e-5)


def test_where_all_users_are_cold_all_go_down_the_chain(tiny: Tiny) -> None:
    tiny.write("events", [tw.event("stranger", "gone", 7)])
    assert score_users.main(["--config", tiny.conf]) == 0
    assert tiny.table("user_vectors").count() == 0
    assert tiny.table("recommendations").count() == 0  # no known item was ever chosen, so none is popular
    run = tiny.table("runs").first()
    assert (run["rows_in"], run["rows_out"], run["rows_refused"]) == (7, 0, 7)


def _failure(tiny: Tiny, capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    capsys.readouterr()
    assert score_users.main(["--config", tiny.conf, *arguments]) == code
    assert not any(Path(tiny.path(name)).exists() for name in TABLES)
    return capsys.readouterr().err


def test_without_a_model_it_names_the_job_that_makes_one(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no model nobody. Run train_model first." in _failure(tiny, capsys, 4, "--set", "scoring.model_id=nobody")
    shutil.rmtree(tiny.path("models"))
    assert "models: the warehouse holds no model. Run train_model first." in _failure(tiny, capsys, 4)


def test_a_model_of_another_vocabulary_is_refused(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    tw.write_vocabulary(tiny, ["i1", "i0", *ITEMS[2:]], WALKS)  # two indices changed their meaning
    message = _failure(tiny, capsys, 3)
    assert "m1 was trained on another vocabulary: item_content had 10 items and has 10, which differ from index 2 on" in message
    assert "(version 0 then, 1 now)" in message
    tw.write_vocabulary(tiny, ITEMS[:5], WALKS)
    assert "item_content had 10 items and has 7, which differ from index 7 on" in _failure(tiny, capsys, 3)


def test_an_export_of_other_sizes_is_refused(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    message = _failure(tiny, capsys, 3, "--set", "sequences.max_length=9")
    assert "m1 was trained with max_length=4, the scenario has 9" in message
    shutil.rmtree(tiny.path("item_content"))
    tw.write_vocabulary(tiny, ITEMS[:6], WALKS)  # another table at the version that training read
    assert "its export has 10 items, item_content 8 (version 0 then, 0 now)" in _failure(tiny, capsys, 3)


def test_inputs_in_another_order_are_refused_though_they_are_as_many(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    swapped = 'content.item=[{"number": "year"}, {"number": "price", "scale": "log"}]'
    message = _failure(tiny, capsys, 3, "--set", swapped)
    trained = "['price_log', 'price_known', 'year_z_score', 'year_known']"
    assert f"item_numbers={trained}, the scenario has ['year_z_score', 'year_known', 'price_log', 'price_known']" in message


def test_a_lost_version_or_export_is_named(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    trained = list(Path(tiny.path("item_content")).glob("*.parquet"))
    tw.write_vocabulary(tiny, [*ITEMS, "new"], WALKS)
    for file in trained:  # as VACUUM does
        file.unlink()
    message = _failure(tiny, capsys, 3)
    assert (
        "item_content: version 0, which model m1 was trained on, cannot be read any more (the table is at version 1)" in message
    )
    shutil.rmtree(tiny.path("_models/m1"))  # that of the warehouse which this is a copy of is still there, and not ours
    assert Path(tiny.table("models").first()["export_path"], "card.json").exists()
    assert "card.json: there is no such file, though `models` names it" in _failure(tiny, capsys, 3)


def test_every_user_with_events_must_have_features_of_the_day(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    missing = "user_features: {} of 5 users with events have no row as of {}. Run build_features{} first."
    # As after a build up to the last day: as of a day before, only who has events on it has a row. u2 and stranger have none.
    earlier = _failure(tiny, capsys, 4, "--date", "2026-03-03")
    assert missing.format(2, "2026-03-04", " --date 2026-03-03") in earlier
    rows = [row.asDict() for row in tiny.table("user_features").collect()]
    tiny.write("user_features", [row for row in rows if (row["user_id"], row["date"]) != ("u2", AS_OF)])
    assert missing.format(1, AS_OF, "") in _failure(tiny, capsys, 4)  # its events came late
    tiny.write("user_features", [row for row in rows if row["date"] < AS_OF])
    assert missing.format(5, AS_OF, "") in _failure(tiny, capsys, 4)
