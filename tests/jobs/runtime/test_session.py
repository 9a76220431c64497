import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark import SparkConf
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from jobs.runtime import session
from jobs.runtime.errors import ConfigError


@pytest.fixture(autouse=True)
def plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)


def test_no_java_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ConfigError, match=r"Java 17 must be installed. .*apt-get install openjdk-17-jre-headless"):
        session.check_machine()


def test_a_java_home_without_java_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(ConfigError, match="Received JAVA_HOME=/nowhere and no java there"):
        session.check_machine()


def test_a_python_that_is_too_new_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.sys, "version_info", (3, 13, 1))
    monkeypatch.setattr(session.sys, "version", "3.13.1 (main)")
    with pytest.raises(ConfigError, match=r"Python must be 3.11 or 3.12, .*Received 3.13.1\."):
        session.check_machine()


def test_where_the_jvm_ends_at_once_as_an_old_one_does_it_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(self: SparkSession.Builder) -> SparkSession:
        raise PySparkRuntimeError(errorClass="JAVA_GATEWAY_EXITED", messageParameters={})

    monkeypatch.setattr(SparkSession.Builder, "getOrCreate", end)
    with pytest.raises(ConfigError, match=r"It needs Java 17 or 21 .* and io.delta:delta-spark"):
        session.build_session("none")


PARTS = "spark.sql.adaptive.coalescePartitions.initialPartitionNum"


@given(st.integers(1, 300), st.integers(0, 1 << 40))
def test_parts_of_a_shuffle_hold_16_MB_unless_they_would_be_more_than_200(least: int, size: int) -> None:
    parts = session.shuffle_parts(least, size)
    assert parts >= least
    assert parts >= 200 or parts * (16 << 20) >= size
    assert parts == least or (parts <= 200 and (parts - 1) * (16 << 20) < size)


def test_a_shuffle_has_as_many_parts_as_its_input_asks_for(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark.sparkContext, "getConf", lambda: SparkConf(loadDefaults=False))
    try:
        session.fit_shuffles(spark, 33 << 20)
        assert spark.conf.get(PARTS) == "3"
        session.fit_shuffles(spark, 0)  # the next job of the session
        assert spark.conf.get(PARTS) == spark.conf.get("spark.sql.shuffle.partitions")
    finally:
        spark.conf.unset(PARTS)


def test_a_session_that_was_given_a_number_of_partitions_keeps_it(spark: SparkSession) -> None:
    session.fit_shuffles(spark, 1 << 40)
    assert spark.conf.get(PARTS, None) is None


SESSION = """
from jobs.runtime.session import build_session
spark = build_session("given")
for key in ("spark.sql.execution.arrow.maxRecordsPerBatch", "spark.sql.codegen.hugeMethodLimit", "spark.sql.session.timeZone"):
    print(spark.conf.get(key))
"""


def test_what_spark_submit_is_given_goes_before_the_defaults_but_days_stay_those_of_utc() -> None:
    options = "--conf spark.sql.execution.arrow.maxRecordsPerBatch=7 --conf spark.sql.session.timeZone=Europe/Berlin"
    more = {"PYSPARK_SUBMIT_ARGS": f"--master local[1] {options} pyspark-shell"}
    command = [sys.executable, "-c", SESSION]
    ended = subprocess.run(command, env=os.environ | more, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["7", "8000", "UTC"]


JOB = "import sys; from jobs.runtime.job import Job; sys.exit(Job('idle', lambda run: None).main(sys.argv[1:]))"
SCENARIO = "warehouse: w\nsource: {events: {path: x, columns: {user_id: u, item_id: i, event_time: t}}}"


def test_a_job_without_java_ends_with_2_and_the_message(tmp_path: Path) -> None:
    config = tmp_path / "scenario.yaml"
    config.write_text(SCENARIO)
    command = [sys.executable, "-c", JOB, "--config", str(config)]
    ended = subprocess.run(command, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "Java 17 must be installed" in ended.stderr
