"""What a process must not need: executors have no TensorFlow, trainers no Spark."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def importing(modules: list[str], without: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in without)  # None makes an import of it fail
    code = f"import sys, importlib\n{blocked}for name in {modules!r}: importlib.import_module(name)"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def modules_of(room: str) -> list[str]:
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted((ROOT / room).rglob("[a-z]*.py"))]


def test_models_import_without_spark_and_the_other_packages():
    modules = modules_of("models")
    assert "models.network.transformer" in modules
    result = importing(modules, without=("pyspark", "delta", "features", "jobs"))
    assert result.returncode == 0, result.stderr[-2000:]


def test_jobs_and_what_they_send_to_executors_import_without_tensorflow():
    modules = modules_of("jobs")
    assert {"jobs.score_users", "jobs.modelling.shipping", "jobs.evaluation.judging"} <= set(modules)
    result = importing(modules, without=("tensorflow", "keras", "tf2onnx"))
    assert result.returncode == 0, result.stderr[-2000:]


def test_scoring_imports_without_tensorflow():
    result = importing(
        ["models.scoring.scorer", "models.scoring.exported", "models.ranking"],
        without=("tensorflow", "keras", "tf2onnx", "pyspark"),
    )
    assert result.returncode == 0, result.stderr[-2000:]
