"""The packaged jobs on a standalone cluster of two workers make the tables that they make on local[2]."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.contents import contents
from tests.jobs.test_run_pipeline import TABLES
from tests.scenario import CONFS, ROOT, Scenario

# Models are named by their configuration, and the number of workers is part of it.
NAMED_BY_CONFIG = {"model_id", "config", "config_hash"}


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    environment = {**os.environ, "LAKEFORMER_CLUSTER": str(tmp_path / "cluster"), "LAKEFORMER_CLUSTER_MEMORY": "1500m"}
    command = str(ROOT / "scripts" / "cluster")
    try:
        started = subprocess.run([command, "start"], env=environment, capture_output=True, text=True, check=True)
        yield started.stdout.strip()
    finally:
        subprocess.run([command, "stop"], env=environment, check=True)


def test_two_machines_make_the_tables_that_one_makes(
    spark: SparkSession, pipeline: Scenario, master: str, tmp_path: Path
) -> None:
    scenario = Scenario(pipeline.raw, tmp_path / "warehouse")
    memory = ["--conf", "spark.executor.memory=1g", "--driver-memory", "1g", *CONFS]
    command = [str(ROOT / "scripts" / "submit"), "--master", master, *memory, str(ROOT / "jobs" / "run_pipeline.py")]
    elsewhere = tmp_path / "elsewhere"  # not the checkout, whose folder would otherwise be on Python's path
    elsewhere.mkdir()
    ended = subprocess.run(
        [*command, *scenario.arguments("--set", "training.workers=2")],
        cwd=elsewhere, env=scenario.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    log = ended.stdout.splitlines()  # spark-submit sends what Python writes to stderr there, too
    epochs = [line for line in log if '"step": "epoch"' in line]
    assert epochs and all('"job": "train_model"' in line for line in epochs)  # workers' lines reach the driver
    distributed = contents(spark, str(scenario.warehouse), TABLES, NAMED_BY_CONFIG)
    local = contents(spark, str(pipeline.warehouse), TABLES, NAMED_BY_CONFIG)
    for name in TABLES:
        assert distributed[name] == local[name], name
