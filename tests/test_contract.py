"""Where features and models meet: the columns of `sequences` are the tensors that the model reads."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np

from features.sequences import arrays, steps, vocabularies
from features.tables import ITEM_CONTENT, SEQUENCES
from models import inputs

ROOT = Path(__file__).parents[1]
DTYPES = {"array<int>": np.int32, "array<float>": np.float32}


def test_each_tensor_is_a_column_of_sequences_with_its_dtype_and_each_array_is_a_tensor():
    columns = {c.name: DTYPES[c.type] for c in SEQUENCES.columns if c.type.startswith("array")}
    assert columns == {tensor.name: tensor.dtype for tensor in inputs.HISTORY + inputs.TARGETS}


def test_the_columns_of_sequences_are_never_null():
    assert not [c.name for c in SEQUENCES.columns if c.nullable]


def test_the_arrays_that_are_built_are_the_tensors_in_their_order():
    assert [*arrays.HISTORY, "user_features"] == [tensor.name for tensor in inputs.HISTORY if not tensor.whole_row]
    assert [*arrays.TARGETS] == [tensor.name for tensor in inputs.TARGETS]


def test_both_sides_mean_the_same_by_padding_unknown_and_buckets():
    ours = (vocabularies.PADDING, vocabularies.UNKNOWN, vocabularies.FIRST, steps.GAP_BUCKETS)
    assert ours == (inputs.PADDING, inputs.UNKNOWN, inputs.FIRST, inputs.GAP_BUCKETS)


def test_item_content_has_the_arrays_of_the_item_tower():
    columns = {c.name: c.type for c in ITEM_CONTENT.columns}
    assert {tensor.name: tensor.dtype for tensor in inputs.CONTENT} == {
        name: DTYPES[type_] for name, type_ in columns.items() if type_.startswith("array")
    }
    assert [*inputs.ItemContent.__annotations__] == [*(tensor.name for tensor in inputs.CONTENT), "train_events"]
    assert "train_events" in columns


def _imports(room: str) -> set[str]:
    """First parts of the names that the modules of a room import."""
    found = set()
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found


def test_features_and_models_import_neither_each_other_nor_jobs():
    assert not _imports("features") & {"models", "jobs", "tensorflow", "keras"}
    assert not _imports("models") & {"features", "jobs", "pyspark", "delta"}


def test_features_import_without_tensorflow():  # of models: tests/models/test_imports.py
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted((ROOT / "features").rglob("[a-z]*.py"))
    ]
    assert "features.trailing.windows" in modules
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in ("tensorflow", "keras"))  # an import of it fails then
    code = f"import sys, importlib\n{blocked}for name in {modules!r}: importlib.import_module(name)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
