"""What the pipeline prints at its end, of tables made here."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

from jobs.pages.summary import print_summary
from tests.jobs.tiny_warehouse import DAY0, Tiny, item

MODEL = {
    "config": "{}", "config_hash": "0", "code_version": "0", "inputs": {}, "packages": {}, "seed": 0, "steps": 0, "rows": 0,
    "metrics": {}, "sizes": {}, "export_path": "",
}  # fmt: skip
SIMILARITIES = ("because_similarity", "category_similarity", "content_similarity")
DAY = DAY0.date()


def metric(model: str, split: str, k: int, value: float, model_id: str = "new") -> dict[str, Any]:
    row = {"model_id": model_id, "model": model, "split": split, "metric": "ndcg", "k": k, "masked": True, "value": value}
    return row | {"low": None, "high": None, "users": 1}


def recommended(day: datetime.date, user: str, item_id: str, model_id: str = "new") -> dict[str, Any]:
    row = {"date": day, "user_id": user, "rank": 1, "item_id": item_id, "score": 1.0, "source": "model", "model_id": model_id}
    return row | {"value": None, "because_item_id": None, **dict.fromkeys(SIMILARITIES)}


@pytest.fixture
def tiny(spark: SparkSession, tmp_path: Path) -> Tiny:
    """Two models, of which `new` is the newer one."""
    columns = {"user_id": "u", "item_id": "i", "event_time": "t"}
    scenario = {"warehouse": str(tmp_path / "warehouse"), "source": {"events": {"path": "e.csv", "columns": columns}}}
    conf = tmp_path / "tiny.yaml"
    conf.write_text(yaml.safe_dump(scenario))
    tiny = Tiny(spark, tmp_path, str(conf))
    ages = {"old": 0, "new": 1}
    tiny.write("models", [MODEL | {"model_id": m, "created_at": DAY0 + datetime.timedelta(days=n)} for m, n in ages.items()])
    tiny.write("metrics", [metric(model, "test", 10, 0.5) for model in ("lakeformer", "popularity")])
    for name in ("runs", "recommendations"):
        tiny.write(name, [])
    tiny.write("items", [item("i1")])
    return tiny


def summary(tiny: Tiny, capsys: pytest.CaptureFixture[str], model_id: str | None = None) -> str:
    scoring = tiny.scenario.scoring.model_copy(update={"model_id": model_id})
    print_summary(tiny.spark, tiny.scenario.model_copy(update={"scoring": scoring}), ["score_users"])
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("cutoffs", "splits", "title", "ours"),
    [
        ((5, 10, 20), ("valid", "test"), "Test split, own history left out, at 10", 0.110),
        ((5, 20), ("valid", "test"), "Test split, own history left out, at 20", 0.120),
        ((10,), ("valid",), "Validation split, own history left out, at 10", 0.210),
    ],
)
def test_quality_is_of_the_cutoff_and_the_split_that_the_report_tells_first(
    tiny: Tiny, capsys: pytest.CaptureFixture[str], cutoffs: Sequence[int], splits: Sequence[str], title: str, ours: float
) -> None:
    value = {"test": 0.1, "valid": 0.2}
    tiny.write("metrics", [metric("lakeformer", split, k, value[split] + k / 1000) for split in splits for k in cutoffs])
    told = summary(tiny, capsys)
    assert title in told and f"{ours:.4f}" in told


def test_a_model_that_was_not_judged_and_has_recommended_nothing_has_no_tables(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write("metrics", [])
    told = summary(tiny, capsys)
    assert "split" not in told and "recommendations" not in told and "_reports/new/report.html" in told


def test_the_summary_is_of_the_model_that_the_scenario_scores_with(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write("metrics", [metric("lakeformer", "test", 10, 0.25, "old"), metric("lakeformer", "test", 10, 0.75, "new")])
    told = summary(tiny, capsys, model_id="old")
    assert "0.2500" in told and "0.7500" not in told and "_reports/old/report.html" in told


def test_recommendations_are_those_of_the_newest_day_of_the_model(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    later, latest = (DAY + datetime.timedelta(days=n) for n in (1, 2))
    rows = [recommended(DAY, "u1", "i1"), recommended(later, "u2", "i1"), recommended(latest, "u3", "i1", "old")]
    tiny.write("recommendations", rows)
    told = summary(tiny, capsys)
    assert [user in told for user in ("u1", "u2", "u3")] == [False, True, False]


def test_titles_are_printed_as_they_are_written(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    titles = ("AC [/] DC", "Best [remastered]", "Smile :smile:")
    tiny.write("items", [item(f"i{n}") | {"title": title} for n, title in enumerate(titles)])
    tiny.write("recommendations", [recommended(DAY, "u", f"i{n}") for n in range(len(titles))])
    told = summary(tiny, capsys)
    assert [title in told for title in titles] == [True, True, True]
