import shutil
import subprocess
from pathlib import Path

import pytest

from tests.scenario import ROOT

SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file() and path.suffix == "")
SHELL = [path for path in SCRIPTS if "python" not in path.read_text(encoding="utf-8").splitlines()[0]]


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_bash_understands_every_script(script: Path) -> None:
    ended = subprocess.run([str(shutil.which("bash")), "-n", str(script)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
