import os
import subprocess
from pathlib import Path

from tests.scenario import ROOT


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


def test_packages_and_files_of_the_user_come_beside_what_jobs_need(tmp_path: Path) -> None:
    spark_submit = tmp_path / "bin" / "spark-submit"
    spark_submit.parent.mkdir()
    spark_submit.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    spark_submit.chmod(0o755)
    command = [str(ROOT / "scripts" / "submit"), "--master", "yarn", "--packages", "a:b:1", "--py-files=my.zip"]
    job = ["jobs/clean_events.py", "--config", "shop.yaml", "--packages", "is the job's"]
    ended = subprocess.run(
        [*command, *job], env={**os.environ, "SPARK_HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    _, packages, _, files, *others = ended.stdout.splitlines()
    assert packages == "io.delta:delta-spark_2.13:4.0.1,a:b:1"
    assert files.split(",")[1:] == ["my.zip"] and files.split(",")[0].endswith("dist/lakeformer.zip")
    assert others == ["--master", "yarn", *job]
