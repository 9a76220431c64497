"""The README's snippets run as they stand, on the tables of a small run."""

import re
import typing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel
from pyspark.sql import SparkSession

from features.tables import all_tables
from features.trailing.config import FeaturesConfig
from jobs.run_pipeline import STEPS
from jobs.runtime import config
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


def _keys(section: type[BaseModel]) -> Iterator[str]:
    """The names of the keys of a section and of all sections in it, as they are written in a scenario."""
    for name, field in section.model_fields.items():
        yield field.alias or name
        parts = [field.annotation]
        while parts:
            part = parts.pop()
            parts += typing.get_args(part)
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _keys(part)


def test_every_key_of_a_scenario_is_told_in_the_documentation() -> None:
    pages = [page for page in (ROOT / "docs").glob("*.md") if not page.stem.startswith("benchmark")]
    text = "\n".join([README, *(page.read_text(encoding="utf-8") for page in pages)])
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`\n]+)`", text)))) | set(re.findall(r"(\w+):", text))
    assert set(_keys(config.Scenario)) - told == set()


def test_every_table_stands_in_the_documentation_with_its_key_its_partitions_and_its_job() -> None:
    page = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    jobs = [*STEPS, replace(STEPS[0], name="every job", writes=("runs",))]
    for table in all_tables(FeaturesConfig()).values():
        writers = ", ".join(job.name for job in jobs if table.name in job.writes)
        keys, partitions = ", ".join(table.keys), ", ".join(table.partitions) or "–"
        assert f"| `{table.name}` | {keys} | {partitions} | {writers} |" in page


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of petastorm
def test_the_example_that_looks_inside_a_model_runs(pipeline: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (spec,) = pipeline.warehouse.glob("_training/*/spec.json")
    exec(example.replace("WAREHOUSE/_training/MODEL_ID", str(spec.parent)), {})  # noqa: S102  # our own documentation
    assert "shape=" in capsys.readouterr().out
