import subprocess
import sys
from pathlib import Path

import pytest

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


JOB = "import sys; from jobs.runtime.job import Job; sys.exit(Job('idle', lambda run: None).main(sys.argv[1:]))"
SCENARIO = "warehouse: w\nsource: {events: {path: x, columns: {user_id: u, item_id: i, event_time: t}}}"


def test_a_job_without_java_ends_with_2_and_the_message(tmp_path: Path) -> None:
    config = tmp_path / "scenario.yaml"
    config.write_text(SCENARIO)
    command = [sys.executable, "-c", JOB, "--config", str(config)]
    ended = subprocess.run(command, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "Java 17 must be installed" in ended.stderr
