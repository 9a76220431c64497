import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import run_pipeline
from jobs.runtime.warehouse import Warehouse
from tests.scenario import Scenario

TABLES = (
    "events", "quarantine", "items", "users", "statistics", "user_days", "item_days", "user_features", "item_features",
    "feature_statistics", "feature_selection",
    "item_vocabulary", "user_vocabulary", "label_vocabulary", "item_content", "user_content", "item_neighbours",
    "item_transitions", "item_values", "sequences", "models",
    "item_vectors", "user_vectors", "recommendations", "metrics",
)  # fmt: skip


def versions(spark: SparkSession, scenario: Scenario) -> dict[str, int | None]:
    warehouse = Warehouse(spark, str(scenario.warehouse))
    return {name: warehouse.version(name) for name in (*TABLES, "runs")}


@dataclass(frozen=True)
class Again:
    """The pipeline's second run: versions of the tables before and after it, and what it has printed."""

    before: dict[str, int | None]
    after: dict[str, int | None]
    summary: str


@pytest.fixture(scope="module")
def again(spark: SparkSession, pipeline: Scenario) -> Again:
    before, printed = versions(spark, pipeline), io.StringIO()
    with redirect_stdout(printed):
        assert run_pipeline.main(pipeline.arguments()) == 0
    return Again(before, versions(spark, pipeline), printed.getvalue())


def test_a_pipeline_run_again_writes_nothing(again: Again) -> None:
    assert None not in again.before.values()
    assert again.after == again.before


def test_the_model_says_by_name_how_much_it_listens_to_what_is_declared(spark: SparkSession, pipeline: Scenario) -> None:
    (row,) = spark.read.format("delta").load(Warehouse(spark, str(pipeline.warehouse)).path("models")).collect()
    gates = {name.removeprefix("gate ") for name in row["metrics"] if name.startswith("gate ")}
    assert {f"item_tower/numbers/{n}" for n in ("price_log", "price_quantile", "year_z_score", "title_and_text_0")} <= gates
    assert {f"request_embedding/user_numbers/age_{n}" for n in ("z_score", "known")} <= gates
    assert {"request_embedding/user_labels", "request_embedding/user_features/value_mean_90d"} <= gates


def test_the_first_job_that_fails_ends_the_pipeline_with_its_code(
    spark: SparkSession, pipeline: Scenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = Scenario(tmp_path / "nothing", tmp_path / "warehouse")
    assert run_pipeline.main(scenario.arguments()) == 4
    said = capsys.readouterr().err
    assert "run_pipeline: clean_events ended with 4. The same command goes on from there once that is mended." in said
    assert "build_features" not in said


def test_a_warehouse_that_training_cannot_use_ends_the_pipeline_before_its_first_job(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = ("--set", "warehouse=hdfs://127.0.0.1:1/lake")
    assert run_pipeline.main(Scenario(tmp_path, tmp_path).arguments(*elsewhere)) == 2
    said = capsys.readouterr().err
    assert "training needs a path that all machines mount" in said and "clean_events" not in said


def test_a_dry_run_of_the_pipeline_writes_nothing(
    spark: SparkSession, pipeline: Scenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = Scenario(pipeline.raw, tmp_path / "warehouse")
    assert run_pipeline.main(scenario.arguments("--dry-run")) == 0
    assert not scenario.warehouse.exists()
    plan = capsys.readouterr().out
    assert all(f"writes {name}" in plan for name in TABLES)


def test_the_summary_shows_rows_quality_and_titles(spark: SparkSession, pipeline: Scenario, again: Again) -> None:
    warehouse, summary = Warehouse(spark, str(pipeline.warehouse)), again.summary
    assert f"{spark.read.format('delta').load(warehouse.path('events')).count():,}" in summary
    recommendations = spark.read.format("delta").load(warehouse.path("recommendations"))
    best = recommendations.where("source = 'model' AND rank = 1").orderBy("user_id").head()
    items = {row["item_id"]: row["title"] for row in spark.read.format("delta").load(warehouse.path("items")).collect()}
    assert best is not None and items[best["item_id"]] in summary
    assert "popularity" in summary and "report.html" in summary
