"""What a table holds, in a form that two runs can be compared by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Set
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

# Columns that tell one run from another, not what it made.
VOLATILE = {"run_id", "created_at", "started_at", "seconds", "metrics", "export_path"}


def _rounded(value: Any) -> Any:
    """Floats to six significant digits: sums over a cluster have no fixed order."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if abs(value) > 1e-6 else 0.0
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in sorted(value.items())}
    return value


def contents(spark: SparkSession, root: str, tables: Iterable[str], ignored: Set[str] = frozenset()) -> dict[str, list[str]]:
    """Per table its rows as sorted JSON, without the volatile and the ignored columns."""
    return {name: content(spark, f"{root}/{name}", ignored) for name in tables}


def content(spark: SparkSession, path: str, ignored: Set[str] = frozenset()) -> list[str]:
    """The rows of one table, likewise."""
    table = spark.read.format("delta").load(path)
    table = table.select([c for c in table.columns if c not in VOLATILE | ignored])
    rows = table.select(F.to_json(F.struct("*"), {"ignoreNullFields": "false"})).collect()
    return sorted(json.dumps(_rounded(json.loads(row[0])), sort_keys=True) for row in rows)
