import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.scenario import ROOT

JOB = ["jobs/clean_events.py", "--config", "shop.yaml"]


@pytest.fixture
def submitted(tmp_path: Path) -> Callable[..., list[str]]:
    """Submits to a spark-submit that prints its driver's Python and its arguments, a line each."""
    spark_submit = tmp_path / "bin" / "spark-submit"
    spark_submit.parent.mkdir()
    spark_submit.write_text('#!/bin/sh\nprintf "%s\\n" "driver ${PYSPARK_DRIVER_PYTHON:-none}" "$@"\n')
    spark_submit.chmod(0o755)

    def submit(arguments: Sequence[str], **environment: str) -> list[str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PYSPARK_")}
        command = [str(ROOT / "scripts" / "submit"), *arguments]
        ended = subprocess.run(
            command, env=ours | {"SPARK_HOME": str(tmp_path)} | environment, capture_output=True, text=True, check=True
        )
        return ended.stdout.splitlines()

    return submit


def test_three_mistakes_in_a_conf_are_named_and_end_spark_submit_with_2(tmp_path: Path) -> None:
    conf = tmp_path / "shop.yaml"
    conf.write_text(
        f"warehouse: {tmp_path}/w\n"
        "source: {events: {path: x.csv, columns: {user_id: u, item_id: i, event_time: t}}}\n"
        "model: {dim: 100, heads: 3}\nscoring: {topk: 3}\ntraining: {epochs: none}\n"
    )
    command = [str(ROOT / "scripts" / "submit"), "--master", "local[1]", str(ROOT / "jobs" / "clean_events.py")]
    ended = subprocess.run([*command, "--config", str(conf)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stdout
    for mistake in (
        "model: dim must be a multiple of heads. Received dim=100, heads=3.",
        "scoring.topk: Extra inputs are not permitted. Received 3.",
        "training.epochs: Input should be a valid integer",
    ):
        assert f"{conf}: {mistake}" in ended.stdout  # where spark-submit puts all that Python writes
    assert not (tmp_path / "w").exists()


def test_packages_and_files_of_the_user_come_beside_what_jobs_need(submitted: Callable[..., list[str]]) -> None:
    job = [*JOB, "--packages", "is the job's"]
    _, _, packages, _, files, *others = submitted(["--master", "yarn", "--packages", "a:b:1", "--py-files=my.zip", *job])
    assert packages == "io.delta:delta-spark_2.13:4.0.1,a:b:1"
    assert files.split(",")[1:] == ["my.zip"] and files.split(",")[0].endswith("dist/lakeformer.zip")
    assert others == ["--master", "yarn", *job]


def test_the_python_of_this_machine_is_named_to_drivers_that_run_here_unless_another_is_given(
    submitted: Callable[..., list[str]],
) -> None:
    assert submitted(["--master", "yarn", *JOB])[0] == f"driver {ROOT}/.venv/bin/python"
    assert submitted(["--master", "yarn", *JOB], PYSPARK_DRIVER_PYTHON="/opt/python")[0] == "driver /opt/python"
    for mode in (["--deploy-mode", "cluster"], ["--deploy-mode=cluster"], ["--conf", "spark.submit.deployMode=cluster"]):
        assert submitted([*mode, *JOB])[0] == "driver none"
