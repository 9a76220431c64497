"""A warehouse of cleaned tables, as clean_events would leave it, and the two jobs that read it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import DataFrame, SparkSession

from features.tables import EVENTS, ITEMS
from jobs.runtime.warehouse import Warehouse
from tests.features.rows import Event, events_frame, items_frame

SCENARIO: dict[str, Any] = {
    "name": "tiny",
    "source": {"events": {"path": "none", "columns": {"user_id": "u", "item_id": "i", "event_time": "t"}}},
    "features": {
        "user": [{"count": "events", "days": [3]}, {"recency": "events", "days": [5]}, {"share": "category", "days": [5]}],
        "item": [{"count": "events", "days": [2]}],
        "category": [{"count": "events", "days": [2]}],
    },
    "sequences": {"max_length": 4, "min_length": 2, "max_categories": 2},
}


@dataclass(frozen=True)
class FeatureWarehouse:
    spark: SparkSession
    folder: Path

    def write(self, events: Sequence[Event], items: dict[str, dict[str, Any]]) -> None:
        tables = Warehouse(self.spark, str(self.folder / "warehouse"))
        tables.write(EVENTS, events_frame(self.spark, events).coalesce(1))
        tables.write(ITEMS, items_frame(self.spark, items).coalesce(1))

    def copy(self, folder: Path) -> FeatureWarehouse:
        """The same tables, ledger included, to go on from elsewhere."""
        shutil.copytree(self.folder / "warehouse", folder / "warehouse")
        return FeatureWarehouse(self.spark, folder)

    def conf(self, **sections: Any) -> str:
        path = self.folder / "tiny.yaml"
        path.write_text(yaml.safe_dump(SCENARIO | {"warehouse": str(self.folder / "warehouse")} | sections))
        return str(path)

    def table(self, name: str) -> DataFrame:
        return self.spark.read.format("delta").load(str(self.folder / "warehouse" / name))

    def rows(self, name: str) -> list[str]:
        """The rows of a table in an order of their own, as JSON."""
        return sorted(json.dumps(row.asDict(recursive=True), default=str, sort_keys=True) for row in self.table(name).collect())

    def versions(self) -> dict[str, int]:
        folder = self.folder / "warehouse"
        return {p.name: len(list((p / "_delta_log").glob("*.json"))) for p in folder.iterdir() if p.name != "runs"}
