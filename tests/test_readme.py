"""The README's snippets run as they stand, on the tables of a small run."""

import re
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.runtime.config import load
from tests.scenario import ROOT, Scenario

README = (ROOT / "README.md").read_text(encoding="utf-8")


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("snippet", snippets("python"), ids=lambda s: s.split()[1])
def test_a_python_snippet_prints_a_result(pipeline: Scenario, capsys: pytest.CaptureFixture[str], snippet: str) -> None:
    exec(snippet.replace("out/demo/warehouse", str(pipeline.warehouse)), {})  # noqa: S102  # our own README
    assert len(capsys.readouterr().out) > 50


def test_the_sql_snippet_finds_rows(spark: SparkSession, pipeline: Scenario) -> None:
    (snippet,) = snippets("sql")
    rows = spark.sql(snippet.replace("/path/to/lakeformer/out/demo/warehouse", str(pipeline.warehouse))).collect()
    assert rows and {row["rank"] for row in rows} == {1, 2, 3}


def test_the_scenario_in_the_readme_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (snippet,) = snippets("yaml")
    path = tmp_path / "shop.yaml"
    path.write_text(snippet)
    monkeypatch.setenv("LAKEFORMER_WAREHOUSE", "w")
    assert load(str(path)).source.events.time.zone == "Europe/Berlin"


def test_the_readme_names_every_exit_code_and_job() -> None:
    for code in (0, 1, 2, 3, 4, 5, 10):
        assert f"| {code} |" in README
    for job in (ROOT / "jobs").glob("[a-z]*.py"):
        assert job.stem in README
