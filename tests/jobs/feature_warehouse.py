"""A warehouse of cleaned tables, as clean_events would leave it, for the jobs that read it."""

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
from features.trailing.config import FeaturesConfig
from features.trailing.tables import feature_table
from tests.delta_rows import write_rows
from tests.features.rows import Event, event_rows, item_rows

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

COUNTS = {"user": [{"count": "events", "days": [3, 5]}], "item": [], "category": []}
_COUNTS = FeaturesConfig.model_validate(COUNTS)


@dataclass(frozen=True)
class FeatureWarehouse:
    spark: SparkSession
    folder: Path

    def write(self, events: Sequence[Event], items: dict[str, dict[str, Any]]) -> None:
        write_rows(self.folder / "warehouse" / "events", EVENTS, event_rows(events))
        write_rows(self.folder / "warehouse" / "items", ITEMS, item_rows(items))

    def write_counts(self, events: Sequence[Event]) -> None:
        """user_features of days with events where COUNTS is what is declared, by its definition."""
        rows = []
        for user, date in sorted({(e.user_id, e.date) for e in events}):
            ages = [(date - e.date).days for e in events if e.user_id == user]
            counts = {f"events_count_{days}d": sum(1 <= age <= days for age in ages) for days in (3, 5)}
            rows.append({"user_id": user, "date": date, "month": f"{date:%Y-%m}", **counts})
        write_rows(self.folder / "warehouse" / "user_features", feature_table("user", _COUNTS.user), rows)

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
