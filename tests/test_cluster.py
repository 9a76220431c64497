"""The packaged pipeline on a cluster of two workers, killed and run again, makes the tables of an undisturbed local[2].

It goes on from what that has cleaned and built, as its first jobs are queries of Spark, in which none of our code runs on
executors.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from jobs.build_sequences import FITTED
from jobs.run_pipeline import STEPS
from tests.contents import contents, differences
from tests.jobs.test_run_pipeline import TABLES
from tests.scenario import CONFS, ROOT, Scenario

# A line of the log: build_sequences has fitted its statistics and added to two vocabularies by then, and not written the rest.
# The pipeline is killed there, and once: each attempt costs a start of Spark on both machines.
MOMENT = '"table": "user_vocabulary"'
# A killed run leaves a version more of the tables that it had written. Models are named by the versions they saw and by their
# configuration, of which the number of workers is part; `packages` names the threads of each, which have a core less here.
NAMED_BY_RUN = {"model_id", "config", "config_hash", "inputs", "packages"}
FIRST_JOBS = ["clean_events", "build_features", "profile_features"]


@pytest.fixture
def master(tmp_path: Path) -> Iterator[str]:
    environment = {**os.environ, "LAKEFORMER_CLUSTER": str(tmp_path / "cluster"), "LAKEFORMER_CLUSTER_MEMORY": "1500m"}
    command = str(ROOT / "scripts" / "cluster")
    try:
        started = subprocess.run([command, "start"], env=environment, capture_output=True, text=True, check=True)
        yield started.stdout.strip()
    finally:
        subprocess.run([command, "stop"], env=environment, check=True)


@pytest.fixture
def scenario(pipeline: Scenario, tmp_path: Path) -> Scenario:
    """That of the undisturbed run, with a copy of its warehouse as it was before build_sequences."""
    scenario = Scenario(pipeline.raw, tmp_path / "warehouse")
    for name in ("runs", *[name for job in STEPS[: len(FIRST_JOBS)] for name in job.writes]):
        if (pipeline.warehouse / name).exists():  # category_days and category_features are not
            shutil.copytree(pipeline.warehouse / name, scenario.warehouse / name)
    DeltaTable(str(scenario.warehouse / "statistics")).delete(FITTED)
    return scenario


@pytest.fixture
def command(scenario: Scenario, master: str) -> list[str]:
    """The pipeline as it is submitted to the cluster, training with both workers."""
    submit = [str(ROOT / "scripts" / "submit"), "--master", master]
    memory = ["--conf", "spark.executor.memory=1g", "--driver-memory", "1g"]
    job = str(ROOT / "jobs" / "run_pipeline.py")
    return [*submit, *memory, *CONFS, job, *scenario.arguments("--set", "training.workers=2")]


def run(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, until: str | None = None
) -> tuple[int, list[str]]:
    """Runs the command in `folder`, and kills it with all it has started at the first line that holds `until`.

    Returns:
        its exit code and the lines it wrote; spark-submit sends what Python writes to stderr to stdout.
    """
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if until is not None and until in line:
            os.killpg(process.pid, signal.SIGKILL)
            break
    return process.wait(), lines


def up_to_date(lines: Sequence[str]) -> list[str]:
    """The jobs that were skipped."""
    return [json.loads(line)["job"] for line in lines if '"step": "up_to_date"' in line]


def test_two_machines_whose_pipeline_is_killed_make_the_tables_that_one_undisturbed_makes(
    spark: SparkSession, pipeline: Scenario, scenario: Scenario, command: list[str], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"  # not the checkout, whose folder would otherwise be on Python's path
    elsewhere.mkdir()
    code, killed = run(command, scenario.environment, elsewhere, until=MOMENT)
    assert code == -signal.SIGKILL, "".join(killed[-20:])
    assert '"job": "build_sequences"' in killed[-1]
    assert up_to_date(killed) == FIRST_JOBS
    code, lines = run(command, scenario.environment, elsewhere)
    assert code == 0, "".join(lines[-40:])
    assert up_to_date(lines) == FIRST_JOBS
    epochs = [line for line in lines if '"step": "epoch"' in line]
    assert epochs and all('"job": "train_model"' in line for line in epochs)  # workers' lines reach the driver
    made = contents(spark, str(scenario.warehouse), TABLES, NAMED_BY_RUN)
    undisturbed = contents(spark, str(pipeline.warehouse), TABLES, NAMED_BY_RUN)
    assert differences(made, undisturbed) == []
