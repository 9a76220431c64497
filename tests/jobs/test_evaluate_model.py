"""evaluate_model against loops over the definitions, on a warehouse of five users."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from features.errors import ContractError
from features.sequences.config import Split
from jobs import evaluate_model
from jobs.evaluation import judging
from jobs.evaluation.held_back import check_split
from jobs.evaluation.judging import OURS, POPULARITY
from models.inputs import FIRST, HISTORY, UNKNOWN
from models.network.transformer import Recommender
from tests.contents import contents, differences
from tests.jobs import tiny_warehouse as tw
from tests.jobs.tiny_warehouse import Tiny
from tests.models.examples import predicted_by_loop

ITEMS = [f"i{n}" for n in range(8)]
WALKS = {
    "u1": ["i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7"],  # longer than the model looks back
    "u2": ["i1", "i0", "i1", "i0"],  # comes back to what is seen
    "u3": ["i2", "i1", "i6", "gone"],  # the model does not know the last one
    "u4": ["i3", "i3", "i5"],
    "short": ["i1", "i2"],  # has no row in valid or test
}
CUTOFFS = (1, 2, 5)
# The newest training event is u1's sixth: of the three days up to it, only u1 has training events, one a day.
RECENT = np.array([0, 0, 0, 0, 0, 1, 1, 1, 0, 0])
INDEX = {i: n for n, i in enumerate(ITEMS, FIRST)}


@pytest.fixture(scope="module")
def made(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tiny, Recommender]:
    tiny = tw.make(spark, tmp_path_factory.mktemp("tiny"), WALKS, ITEMS, [])
    return tiny, tw.with_model(tiny)


@pytest.fixture
def tiny(made: tuple[Tiny, Recommender], tmp_path: Path) -> Tiny:
    """A copy to break."""
    return tw.copy(made[0], tmp_path)


@pytest.fixture(scope="module")
def evaluated(made: tuple[Tiny, Recommender], tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """An item of the vocabulary has no content yet: it is as one that the vocabulary does not know."""
    copy = tw.copy(made[0], tmp_path_factory.mktemp("evaluated"))
    tw.write_indices(copy, [*ITEMS, "gone"])
    assert evaluate_model.main(["--config", copy.conf]) == 0
    return copy


def _scores(tiny: Tiny, model: Recommender, walk: Sequence[str], split: str) -> dict[str, np.ndarray]:
    """Scores of all items, by model, for the user's request whose target is of `split`."""
    path = [INDEX.get(i, UNKNOWN) for i in walk[: -1 if split == "test" else -2]][-tw.MAX_LENGTH :]
    rows = {name: np.array([values]) for name, values in tw.history(path, tw.MAX_LENGTH).items()}
    assert rows.keys() == {i.name for i in HISTORY}
    states, vectors = tw.states_of(model, tiny, rows)
    return {
        "lakeformer": vectors @ states[0, len(path) - 1] + tw.bonus_of(path, len(vectors)),
        "markov_chain": tw.bonus_of(path, len(vectors)),
        "popularity": tw.content_of(tiny).train_events,
        "recent_popularity": RECENT,
        "item_knn": _similar_to(tiny, walk[: -1 if split == "test" else -2]),
    }


def _similar_to(tiny: Tiny, past: Sequence[str]) -> np.ndarray:
    scores = np.zeros(FIRST + len(ITEMS))
    for pair in tiny.table("item_neighbours").collect():
        scores[INDEX[pair["neighbour_id"]]] += past.count(pair["item_id"]) * pair["similarity"]
    return scores


def _expected(tiny: Tiny, model: Recommender) -> dict[tuple, tuple[float, int]]:
    """Every metric by its definition: (value, users)."""
    found: dict[tuple, list[float]] = {}
    shown: dict[tuple, set[int]] = {}
    users = [walk for walk in WALKS.values() if len(walk) > 2]
    for walk in users:
        for split, at in (("valid", len(walk) - 2), ("test", len(walk) - 1)):
            target = INDEX.get(walk[at])
            for name, scores in _scores(tiny, model, walk, split).items():
                for masked in (False, True):
                    out = {INDEX.get(i) for i in walk[:at]} if masked else set()
                    others = [i for i in INDEX.values() if i not in out and i != target]
                    rank = math.inf if target is None or target in out else 1 + sum(scores[i] >= scores[target] for i in others)
                    listed = sorted((i for i in INDEX.values() if i not in out), key=lambda i: (-scores[i], i))
                    key = (name, split, masked)
                    for k in CUTOFFS:
                        hit = float(rank <= k)
                        gain = 1 / math.log2(rank + 1) if hit else 0.0
                        per_user = {"hr": hit, "recall": hit, "precision": hit / k, "ndcg": gain, "mrr": hit / rank}
                        for metric, value in per_user.items():
                            found.setdefault((*key, metric, k), []).append(value)
                        shown.setdefault((*key, "coverage", k), set()).update(listed[:k])
                    found.setdefault((*key, "mrr", 0), []).append(1 / rank)
                    found.setdefault((*key, "accuracy", 0), []).append(float(rank == 1))
    means = {key: (sum(values) / len(values), len(values)) for key, values in found.items()}
    return means | {key: (len(items) / len(ITEMS), len(users)) for key, items in shown.items()}


def test_every_metric_equals_its_definition(evaluated: Tiny, made: tuple[Tiny, Recommender]) -> None:
    rows = evaluated.table("metrics").collect()
    found = {(r["model"], r["split"], r["masked"], r["metric"], r["k"]): (r["value"], r["users"]) for r in rows}
    expected = _expected(*made)
    assert len(rows) == len(found) and found.keys() == expected.keys()
    for key, (value, users) in expected.items():
        assert found[key] == (pytest.approx(value, abs=1e-9), users), key
    assert {row["model_id"] for row in rows} == {"m1"}


def test_a_task_tells_the_best_rank_of_an_item_once(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_one_task(examples: DataFrame, *arguments: Any) -> DataFrame:
        rows = judging.judged(examples.coalesce(1), *arguments).where("item IS NOT NULL")
        told = rows.groupBy("split", "model", "masked", "item").count().collect()
        assert {row["count"] for row in told} == {1}
        raise ContractError("That is all.")

    monkeypatch.setattr(evaluate_model, "judged", of_one_task)
    assert evaluate_model.main(["--config", tiny.conf]) == 3


def test_values_are_compared_with_what_rating_head_and_neighbours_say(made: tuple[Tiny, Recommender], tmp_path: Path) -> None:
    tiny, model = tw.copy(made[0], tmp_path), made[1]
    rows, errors = [row.asDict(recursive=True) for row in tiny.table("sequences").collect()], []
    for n, row in enumerate(rows):
        position = row["weights"].index(1.0)
        row["target_values"][position], row["target_value_weights"][position] = n / 4 - 1, float(row["user_id"] != "u4")
        row["values"] = [(n + at) / 5 - 1 for at in range(position + 1)] + [0.0] * (row["length"] - position - 1)
        arrays = {i.name: np.array([row[i.name]], i.dtype) for i in HISTORY}
        states, vectors = tw.states_of(model, tiny, arrays)
        predicted = model.values(states[:, position], vectors[[row["targets"][position]]]).numpy()[0]
        if row["split"] == "test" and row["user_id"] != "u4" and row["targets"][position] != UNKNOWN:
            past = list(zip(row["item_ids"], row["values"], strict=True))
            value = predicted_by_loop(tw.values_of(len(vectors)), predicted, past, row["targets"][position])
            errors.append(value - (n / 4 - 1))
    tiny.write("sequences", rows)
    fitted = {"owner": "sequences", "column": "value", "group": "", "label": None, "fitted_until": tw.DAY0}
    score = [fitted | {"statistic": s, "number": n} for s, n in (("mean", 3.5), ("std", 1.5))]
    tiny.write("statistics", [*[row.asDict() for row in tiny.table("statistics").collect()], *score])
    inputs = {"item_content": 0, "sequences": 0, "statistics": 1}
    models = [row.asDict(recursive=True) | {"inputs": inputs} for row in tiny.table("models").collect()]
    tiny.write("models", models)
    assert evaluate_model.main(["--config", tiny.conf]) == 0
    found = {r["metric"]: r for r in tiny.table("metrics").where("split = 'test' AND metric IN ('rmse', 'mae')").collect()}
    assert found["rmse"]["value"] == pytest.approx(1.5 * np.sqrt(np.mean(np.square(errors))), rel=1e-5)
    assert found["mae"]["value"] == pytest.approx(1.5 * np.mean(np.abs(errors)), rel=1e-5)
    assert {(r["model"], r["k"], r["masked"], r["users"]) for r in found.values()} == {("lakeformer", 0, False, len(errors))}
    assert "RMSE of values" in _report(tiny)


def test_intervals_enclose_the_value_and_coverage_has_none(evaluated: Tiny) -> None:
    for row in evaluated.table("metrics").collect():
        if row["metric"] == "coverage":
            assert row["low"] is row["high"] is None
        else:
            assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1


def test_the_interval_is_that_of_a_mean_over_users(evaluated: Tiny) -> None:
    test = "split = 'test' AND masked AND metric = 'hr' AND k = 5 AND model = 'popularity'"
    row = evaluated.table("metrics").where(test).first()
    hits = round(row["value"] * 4)
    half = 1.959964 * np.std([1.0] * hits + [0.0] * (4 - hits), ddof=1) / 2
    assert (row["low"], row["high"]) == pytest.approx((max(0, row["value"] - half), min(1, row["value"] + half)))


def test_of_more_users_than_are_to_be_judged_it_takes_those_whose_ids_hash_lowest(
    tiny: Tiny, evaluated: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate_model.main(["--config", tiny.conf, "--set", "evaluation.users=2"]) == 0
    assert {row["users"] for row in tiny.table("metrics").collect()} == {2}
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line["step"] == "users_cut"]
    assert (line["judged"], line["of"]) == (2, {"valid": 4, "test": 4})
    # The report shows two users (report_users), those whose ids hash lowest of all: they are the ones that are judged.
    shown = [re.findall("<h3>User (.*?)</h3>", _report(of)) for of in (tiny, evaluated)]
    assert shown[0] == shown[1] and len(shown[0]) == 2


def test_a_model_that_is_judged_again_has_the_same_metrics_and_report(evaluated: Tiny) -> None:
    before, report = contents(evaluated.spark, evaluated.path(""), ["metrics"]), _report(evaluated)
    assert evaluate_model.main(["--config", evaluated.conf, "--force"]) == 0
    assert differences(contents(evaluated.spark, evaluated.path(""), ["metrics"]), before) == []
    assert _report(evaluated) == report


def _report(tiny: Tiny) -> str:
    return Path(tiny.path("_reports/m1/report.html")).read_text(encoding="utf-8")


def test_the_report_shows_titles_and_needs_nothing_else(evaluated: Tiny) -> None:
    page = _report(evaluated)
    assert "Title of i5" in page and page.count("<article") == 2  # evaluation.report_users
    assert page.count("<svg role=") == 3
    assert not any(loads in page for loads in ("<script", "<link", "src=", "@import", 'href="http', "url(http"))


@pytest.mark.parametrize(("exclude", "masked"), [("[seen]", True), ("[]", False)])
def test_the_ranking_that_is_served_is_told_first_and_in_one_line_a_split_and_what_it_leaves_out(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], exclude: str, masked: bool
) -> None:
    sets = ("evaluation.report_users=4", f"scoring.exclude={exclude}")
    assert evaluate_model.main(["--config", tiny.conf, *[option for s in sets for option in ("--set", s)]]) == 0
    lines = capsys.readouterr().out.splitlines()
    # Of four targets each, u2 had seen the one of test, u2 and u4 those of valid.
    seen = [f"{n} % of the {split} targets had been seen before; scoring.exclude: [] would rank them."
            for n, split in ((25, "test"), (50, "valid"))]  # fmt: skip
    rows = tiny.table("metrics").where("metric = 'ndcg' AND k = 5").collect()
    value = {(r["split"], r["model"], r["masked"]): f"{r['value']:.4f}" for r in rows}
    assert lines == [
        f"{split} NDCG@5: m1 {value[split, OURS, masked]}, popularity {value[split, POPULARITY, masked]}"
        for split in ("test", "valid")
    ] + [told for told in seen if masked]
    assert any(value[split, OURS, True] != value[split, OURS, False] for split in ("test", "valid"))  # or it could not tell
    page = _report(tiny)
    (article,) = re.findall("<h3>User u1</h3>(.*?)</article>", page, re.DOTALL)
    shown = 1 if masked else 5  # of the eight items u1 has seen seven, and five are shown at most
    assert article.count("<li") == 5 + 1 + 2 * shown
    assert ("without those that the user had chosen before" in page) == masked
    assert {told in page for told in seen} == {masked}


def test_without_a_model_it_names_the_job_that_makes_one(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate_model.main(["--config", tiny.conf, "--set", "scoring.model_id=nobody"]) == 4
    assert "models: the warehouse holds no model nobody. Run train_model first." in capsys.readouterr().err


def test_sequences_of_other_events_are_refused(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    late = [tw.event("u1", "i0", 20), *[tw.event(u, i, day) for u, walk in WALKS.items() for day, i in enumerate(walk)]]
    tiny.write("events", late)
    assert evaluate_model.main(["--config", tiny.conf]) == 3
    message = capsys.readouterr().err
    assert "sequences: 2 of 8 targets do not stand in events where they should: events is at version 1" in message
    assert "Run build_sequences first." in message
    assert not Path(tiny.path("metrics")).exists()


def _split_by_days(valid_from: str, test_from: str) -> dict[str, str]:
    return {"by": "global_time", "valid_from": valid_from, "test_from": test_from}


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({}, _split_by_days("2026-03-03", "2026-03-05")),
        (_split_by_days("2026-03-03", "2026-03-05"), {}),
        (_split_by_days("2026-03-03", "2026-03-05"), _split_by_days("2026-03-02", "2026-03-05")),
        (_split_by_days("2026-03-03", "2026-03-06"), _split_by_days("2026-03-03", "2026-03-05")),
    ],
)
def test_a_model_is_not_judged_by_what_another_split_let_it_learn(then: dict[str, str], now: dict[str, str]) -> None:
    sequences = SimpleNamespace(split=Split.model_validate(now))
    run = SimpleNamespace(config=SimpleNamespace(sequences=sequences))
    trained = SimpleNamespace(row={"config": json.dumps({"sequences": {"split": then}})}, model_id="m1")
    told = r"models: m1 must not be judged by what it has learned from\. It was trained with sequences\.split="
    with pytest.raises(ContractError, match=told):
        check_split(run, trained)  # type: ignore[arg-type]


def _trained_with(tiny: Tiny, **sequences: Any) -> None:
    """As if the model had been trained with these settings of `sequences`."""
    config = json.dumps({"sequences": {"event_types": None, **sequences}})
    tiny.write("models", [row.asDict(recursive=True) | {"config": config} for row in tiny.table("models").collect()])


def test_sequences_that_were_built_again_are_told_where_the_model_saw_others(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    _trained_with(tiny, split=_split_by_days("2026-03-03", "2026-03-05"))
    tiny.write("sequences", [])  # version 1
    later = json.dumps(_split_by_days("2026-03-04", "2026-03-05"))  # what is held back now was held back then, too
    assert evaluate_model.main(["--config", tiny.conf, "--set", f"sequences.split={later}"]) == 4  # as nothing is
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line["step"] == "sequences_built_again"]
    assert (line["trained_on"], line["judged_by"]) == (0, 1)


def test_a_model_of_other_types_of_events_is_not_judged(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    _trained_with(tiny, event_types=["view", "buy"], split={})
    assert evaluate_model.main(["--config", tiny.conf]) == 3
    assert "m1 was trained with sequences.event_types=['view', 'buy'], the scenario has None." in capsys.readouterr().err


def test_targets_of_a_history_that_became_shorter_are_left_out_where_the_model_has_learned_them(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    def learned(user: str, last: int, targets: int) -> dict[str, Any]:
        row = tw.example(user, "train", [2, 3], 4, 4)
        return row | {"target_time": tw.DAY0 + timedelta(last), "weights": [1] * targets + [0] * (4 - targets)}

    def trained_on(*rows: dict[str, Any]) -> None:
        tiny.write("sequences", rows)
        inputs = {"item_content": 0, "statistics": 0, "sequences": tiny.version("sequences")}
        tiny.write("models", [row.asDict(recursive=True) | {"inputs": inputs} for row in tiny.table("models").collect()])
        tiny.write("sequences", judges)

    at = {("u1", "valid"): 4, ("u1", "test"): 6}  # all others are at day 0
    judges = [
        row.asDict(recursive=True) | {"target_time": tw.DAY0 + timedelta(at.get((row["user_id"], row["split"]), 0))}
        for row in tiny.table("sequences").collect()
    ]
    # Of u1 what came up to day 5; of u2 two targets at the time of those of valid and test, of u4 one.
    trained_on(learned("u1", 5, 4), learned("u2", 0, 2), learned("u4", 0, 1))
    assert evaluate_model.main(["--config", tiny.conf]) == 0
    users = {(row["split"], row["users"]) for row in tiny.table("metrics").collect()}
    assert users == {("valid", 1), ("test", 3)}  # of valid u3 alone, of test all but u2
    assert tiny.table("runs").first()["counts"]["targets_learned"] == 4

    trained_on(*[learned(user, 9, 4) for user in WALKS])
    assert evaluate_model.main(["--config", tiny.conf]) == 3
    assert "All 8 targets of valid and test were targets of train when it was trained." in capsys.readouterr().err


def test_where_no_user_is_held_back_it_says_so(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write("sequences", [])
    assert evaluate_model.main(["--config", tiny.conf]) == 4
    assert "sequences: no row is in valid or test. leave_one_out needs users with three events" in capsys.readouterr().err
