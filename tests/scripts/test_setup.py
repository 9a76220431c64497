import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from jobs.runtime.session import DELTA_PACKAGE
from tests.scenario import ROOT

TOOLS = ("bash", "cat", "dirname", "env", "head", "id", "mkdir", "rmdir", "sed", "sha256sum", "sleep")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout without .venv, and a PATH on which there is nothing but the plainest tools."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "bin").mkdir()
    for name in ("scripts/setup", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def program(clone: Path, name: str, script: str) -> None:
    path = clone / "bin" / name
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(0o755)


def begun(clone: Path) -> subprocess.Popen[str]:
    environment = {"PATH": str(clone / "bin"), "HOME": os.environ["HOME"]}
    return subprocess.Popen([str(clone / "scripts" / "setup")], env=environment, stderr=subprocess.PIPE, text=True)


def setup(clone: Path) -> subprocess.CompletedProcess[str]:
    process = begun(clone)
    _, said = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stderr=said)


def test_without_java_it_says_how_to_get_it_and_ends_with_2(clone: Path) -> None:
    ended = setup(clone)
    assert ended.returncode == 2
    assert "Java 17 or 21 is needed, Spark 4 runs on it. Found: none" in ended.stderr
    assert "sudo apt-get install openjdk-17-jre-headless" in ended.stderr


def test_an_older_java_is_named(clone: Path) -> None:
    program(clone, "java", """echo 'openjdk version "11.0.20" 2023-07-18' >&2""")
    ended = setup(clone)
    assert (ended.returncode, "Found: Java 11" in ended.stderr) == (2, True)


def test_with_pythons_that_are_too_new_it_says_how_to_get_another_and_ends_with_2(clone: Path) -> None:
    program(clone, "java", """echo 'openjdk version "17.0.15" 2025-04-15' >&2""")
    program(clone, "python3", "exit 1  # as 3.13 answers the question whether it is 3.11 or 3.12")
    ended = setup(clone)
    assert ended.returncode == 2
    assert "Python 3.11 or 3.12 is needed" in ended.stderr
    assert "uv python install 3.11" in ended.stderr


@pytest.fixture
def installed(clone: Path) -> Path:
    """The clone after a setup that ended well; its Java has a home folder with Delta's jars, which is returned."""
    wanted = hashlib.sha256((clone / "setup.cfg").read_bytes() + (clone / "pyproject.toml").read_bytes()).hexdigest()
    (clone / ".venv").mkdir()
    (clone / ".venv" / "installed").write_text(f"{wanted}  -\n")
    home = clone / "home"
    (home / ".ivy2.5.2" / "jars").mkdir(parents=True)
    (home / ".ivy2.5.2" / "jars" / f"io.delta_{DELTA_PACKAGE.split(':', 1)[1].replace(':', '-')}.jar").touch()
    program(clone, "java", f"""echo '    user.home = {home}' >&2; echo 'openjdk version "17.0.15" 2025-04-15' >&2""")
    return home


@pytest.mark.usefixtures("installed")
def test_a_second_setup_has_nothing_to_do(clone: Path) -> None:
    ended = setup(clone)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_jars_that_are_not_there_and_cannot_be_fetched_end_it_with_2(clone: Path, installed: Path) -> None:
    shutil.rmtree(installed / ".ivy2.5.2")
    (clone / ".venv" / "bin").mkdir()
    program(clone, "../.venv/bin/python", "echo 'unresolved dependency'; exit 1")
    ended = setup(clone)
    assert ended.returncode == 2
    assert "unresolved dependency\nsetup: Spark must start with Delta's jars" in ended.stderr
    assert not (clone / ".setup.lock").exists()


def test_a_second_setup_waits_for_the_first_and_then_has_nothing_to_do(clone: Path, installed: Path) -> None:
    jars = installed / ".ivy2.5.2"
    jars.rename(installed / "not yet")
    (clone / ".setup.lock").mkdir()  # as the first has it
    second = begun(clone)
    assert second.stderr is not None
    assert second.stderr.readline() == f"setup: waiting for another setup; if none runs, remove {clone}/.setup.lock\n"
    (installed / "not yet").rename(jars)
    (clone / ".setup.lock").rmdir()
    assert second.communicate() == (None, "")
    assert second.returncode == 0


def test_without_sha256sum_as_on_macos_the_sums_are_those_of_shasum(clone: Path, installed: Path) -> None:
    (clone / "bin" / "sha256sum").rename(clone / "bin" / "sums")
    program(clone, "shasum", '[ "$*" = "-a 256" ] && sums')
    assert (setup(clone).returncode, setup(clone).stderr) == (0, "")
