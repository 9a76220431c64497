import subprocess
import sys
import zipfile
from pathlib import Path

from tests.scenario import ROOT


def test_the_code_for_executors_is_every_module_and_every_template() -> None:
    made = subprocess.run([sys.executable, str(ROOT / "scripts" / "package")], capture_output=True, text=True, check=True)
    with zipfile.ZipFile(Path(made.stdout.strip())) as archive:
        names = set(archive.namelist())
    modules = {p.relative_to(ROOT).as_posix() for room in ("features", "jobs", "models") for p in (ROOT / room).rglob("*.py")}
    templates = {f"jobs/pages/templates/{name}.j2" for name in ("report.html", "dictionary.html", "style.css")}
    assert names == modules | templates
