"""One local Spark session for the whole run, as small as the tables of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from jobs import run_pipeline
from jobs.runtime.session import build_session
from tests.scenario import Scenario, make_raw


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a warehouse stay in one process; the longest group, that of the pipeline, begins first."""
    groups = {item: "pipeline" if "pipeline" in item.fixturenames else item.path.name for item in items}  # type: ignore[attr-defined]
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: groups[item] != "pipeline")


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    session = build_session(
        "tests",
        master="local[2]",
        settings={
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "2",
            "spark.databricks.delta.snapshotPartitions": "2",
            "spark.driver.memory": "3g",
            "spark.ui.showConsoleProgress": "false",
        },
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def pipeline(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """The small scenario after one undisturbed run of everything. Tests read it; those that change tables make their own."""
    folder = tmp_path_factory.mktemp("pipeline")
    scenario = Scenario(make_raw(folder / "raw"), folder / "warehouse")
    assert run_pipeline.main(scenario.arguments()) == 0
    return scenario
