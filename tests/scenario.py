"""A small sample and a small model: the whole path in a minute."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SMALL = (
    "model.dim=16",
    "sequences.max_length=16",
    "training.epochs=2",
    "training.workers=1",  # the cluster has two
    "training.lanes=2",
    "training.batch_size=64",
    "training.warmup_steps=5",
    "scoring.top_k=10",
)
FOR_FEW_ROWS = {
    # To compile a query takes longer than to interpret it over the few rows of a test.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # Each sort and hash map of a task takes a page: one of 64 MB, where a driver has 3 GB, for which the collector makes room.
    "spark.buffer.pageSize": "1m",
}
CONFS = [option for key, value in FOR_FEW_ROWS.items() for option in ("--conf", f"{key}={value}")]


@dataclass(frozen=True)
class Scenario:
    """conf/sample.yaml over a small made-up log, with a warehouse of its own."""

    raw: Path
    warehouse: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "LAKEFORMER_SAMPLE": str(self.raw),
            "LAKEFORMER_WAREHOUSE": str(self.warehouse),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_SUBMIT_ARGS": " ".join([*CONFS, "pyspark-shell"]),
        }

    def arguments(self, *more: str) -> list[str]:
        """A job's command line. The paths are given as overrides, since a running process has its environment already."""
        sets = (
            *SMALL,
            f"warehouse={self.warehouse}",
            f"source.events.path={self.raw}/events/events-*.csv*",
            f"source.items.path={self.raw}/books.csv",
            f"source.users.path={self.raw}/readers.csv",
        )
        options = [option for s in sets for option in ("--set", s)]
        return ["--config", str(ROOT / "conf" / "sample.yaml"), *options, *more]


def make_raw(folder: Path) -> Path:
    """A made-up log of a few thousand events."""
    command = [sys.executable, str(ROOT / "scripts" / "make_sample_data.py"), "--out", str(folder)]
    subprocess.run([*command, "--users", "120", "--items", "80", "--days", "40"], check=True, capture_output=True)
    return folder
