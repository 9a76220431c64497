"""A pipeline killed with SIGKILL in the middle of jobs, and run again each time, leaves the tables of an undisturbed run."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from jobs import run_pipeline
from tests.contents import contents
from tests.jobs.test_run_pipeline import TABLES
from tests.scenario import ROOT, Scenario

# job -> the line of its log at which it is killed: some of its tables are written by then, others are not. Two of the jobs
# that write several, of which one appends: each attempt costs a start of Spark.
MOMENTS = {
    "build_sequences": '"table": "user_vocabulary"',
    "score_users": '"table": "item_vectors"',
}
DONE = {  # when a job is killed: the jobs before it that an earlier attempt has brought to an end
    "build_sequences": [],
    "score_users": ["clean_events", "build_features", "profile_features"],
}
# A killed run leaves a version more of the tables that it had written, and models are named by the versions they saw.
NAMED_BY_VERSION = {"model_id", "inputs"}


def kill_in(job: str, scenario: Scenario) -> list[str]:
    """Starts the pipeline, kills it with all it has started in the middle of a job; returns the jobs that were skipped."""
    command = [sys.executable, "-m", "jobs.run_pipeline", *scenario.arguments()]
    process = subprocess.Popen(
        command, cwd=ROOT, env=scenario.environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    seen, skipped = [], []
    for line in process.stderr:
        seen.append(line)
        if '"step": "up_to_date"' in line:
            skipped.append(json.loads(line)["job"])
        if f'"job": "{job}"' in line and MOMENTS[job] in line:
            os.killpg(process.pid, signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL, "".join(seen[-20:])
    return skipped


def test_a_pipeline_that_is_killed_goes_on_each_time_and_ends_like_an_undisturbed_one(
    spark: SparkSession, pipeline: Scenario, tmp_path: Path
) -> None:
    scenario = Scenario(pipeline.raw, tmp_path / "warehouse")
    for job in MOMENTS:
        assert kill_in(job, scenario) == DONE[job]
    assert run_pipeline.main(scenario.arguments()) == 0
    disturbed = contents(spark, str(scenario.warehouse), TABLES, NAMED_BY_VERSION)
    undisturbed = contents(spark, str(pipeline.warehouse), TABLES, NAMED_BY_VERSION)
    for name in TABLES:
        assert disturbed[name] == undisturbed[name], name
