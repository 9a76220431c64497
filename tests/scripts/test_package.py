import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.scenario import ROOT


def package() -> Path:
    made = subprocess.run([sys.executable, str(ROOT / "scripts" / "package")], capture_output=True, text=True, check=True)
    return Path(made.stdout.strip())


def test_who_reads_the_code_while_it_is_packed_again_reads_what_it_has_opened() -> None:
    with package().open("rb") as opened:
        assert package().stat().st_ino != os.fstat(opened.fileno()).st_ino


def test_the_code_for_executors_is_every_module_and_every_template() -> None:
    with zipfile.ZipFile(package()) as archive:
        names = set(archive.namelist())
    modules = {p.relative_to(ROOT).as_posix() for room in ("features", "jobs", "models") for p in (ROOT / room).rglob("*.py")}
    templates = {f"jobs/pages/templates/{name}.j2" for name in ("report.html", "dictionary.html", "style.css")}
    assert names == modules | templates
