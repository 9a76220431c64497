"""Every job, killed in the middle with SIGKILL and run again, leaves the tables of an undisturbed run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import build_features, build_sequences, clean_events, evaluate_model, score_users, train_model
from tests.contents import contents
from tests.jobs.test_run_pipeline import TABLES
from tests.scenario import ROOT, Scenario

# job -> the line of its log at which it is killed: some of its tables are written by then, others are not
MOMENTS = {
    clean_events: '"table": "items"',
    build_features: '"table": "user_days"',
    build_sequences: '"table": "user_vocabulary"',
    train_model: '"step": "epoch"',
    score_users: '"table": "item_vectors"',
    evaluate_model: '"step": "start"',
}
# A killed run leaves a version more of the tables that it had written, and models are named by the versions they saw.
NAMED_BY_VERSION = {"model_id", "inputs"}


def kill_at(moment: str, job: str, scenario: Scenario) -> None:
    """Starts the job as a command of its own, and kills it with all it has started when its log says `moment`."""
    command = [sys.executable, "-m", job, *scenario.arguments()]
    process = subprocess.Popen(
        command, cwd=ROOT, env=scenario.environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if moment in line:
            os.killpg(process.pid, signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL, "".join(seen[-20:])


def test_a_killed_job_is_repaired_by_the_next_run(spark: SparkSession, pipeline: Scenario, tmp_path: Path) -> None:
    scenario = Scenario(pipeline.raw, tmp_path / "warehouse")
    for job, moment in MOMENTS.items():
        kill_at(moment, job.__name__, scenario)
        assert job.main(scenario.arguments()) == 0, job.__name__
    disturbed = contents(spark, str(scenario.warehouse), TABLES, NAMED_BY_VERSION)
    undisturbed = contents(spark, str(pipeline.warehouse), TABLES, NAMED_BY_VERSION)
    for name in TABLES:
        assert disturbed[name] == undisturbed[name], name


@pytest.mark.parametrize("job", MOMENTS, ids=lambda job: job.JOB.name)
def test_a_job_forced_to_run_again_changes_nothing(spark: SparkSession, pipeline: Scenario, job) -> None:  # type: ignore[no-untyped-def]
    before = contents(spark, str(pipeline.warehouse), job.JOB.writes, NAMED_BY_VERSION)
    assert job.main(pipeline.arguments("--force")) == 0
    assert contents(spark, str(pipeline.warehouse), job.JOB.writes, NAMED_BY_VERSION) == before
