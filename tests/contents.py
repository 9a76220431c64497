"""What a table holds, in a form that two runs can be compared by."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Set
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

# Columns that tell one run from another, not what it made.
VOLATILE = {"run_id", "created_at", "started_at", "seconds", "metrics", "export_path"}
Rows = list[dict[str, Any]]


def contents(spark: SparkSession, root: str, tables: Iterable[str], ignored: Set[str] = frozenset()) -> dict[str, Rows]:
    """Per table its rows, without the volatile and the ignored columns."""
    return {name: content(spark, f"{root}/{name}", ignored) for name in tables}


def content(spark: SparkSession, path: str, ignored: Set[str] = frozenset()) -> Rows:
    """The rows of one table, in the order of what is no float in them."""
    table = spark.read.format("delta").load(path)
    table = table.select([c for c in table.columns if c not in VOLATILE | ignored])
    rows = [json.loads(row[0]) for row in table.select(F.to_json(F.struct("*"), {"ignoreNullFields": "false"})).collect()]
    return sorted(rows, key=lambda row: (json.dumps(_exact(row), sort_keys=True), json.dumps(row, sort_keys=True)))


def differences(one: Mapping[str, Rows], other: Mapping[str, Rows]) -> list[str]:
    """The tables that differ, with the first row that does; floats may by a millionth, as sums have no fixed order."""
    found = []
    for name in one:
        if len(one[name]) != len(other[name]):
            found.append(f"{name}: {len(one[name])} rows and {len(other[name])}")
        unlike = (f"{name}: {a} and {b}" for a, b in zip(one[name], other[name], strict=False) if not _alike(a, b))
        found += list(unlike)[:1]
    return found


def _exact(value: Any) -> Any:
    """The same without its floats."""
    if isinstance(value, dict):
        return {key: _exact(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_exact(v) for v in value]
    return None if isinstance(value, float) else value


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-6) or max(abs(a), abs(b)) <= 1e-6
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    return bool(a == b)
