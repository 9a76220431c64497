#!/usr/bin/env python3
"""Shows what cleaning found beside what the sample generator hid, kind by kind; ends with 3 where they differ.

scripts/compare_with_truth.py TRUTH.json WAREHOUSE
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

Counts = dict[str, int]


def hidden(truth: dict) -> Counts:
    """The truth file's numbers under the names of the ledger."""
    counts = {f"events_duplicates_{kind}": n for kind, n in truth["duplicates"].items()}
    for what in ("refused", "imputed"):
        for source, kinds in truth[what].items():
            counts |= {f"{source}_{what}_{kind}": n for kind, n in kinds.items()}
    return counts


def found(warehouse: str) -> Counts:
    """Refused rows as the quarantine holds them; duplicates and imputed values from the ledger's last good cleaning."""
    quarantine = pl.read_delta(f"{warehouse}/quarantine").select("source", "reasons").rows()
    refused = Counter(f"{source}_refused_{reason}" for source, reasons in quarantine for reason in reasons)
    good = pl.read_delta(f"{warehouse}/runs").filter(pl.col("job") == "clean_events", pl.col("exit_code") == 0)
    counted = dict(good.sort("started_at")["counts"].to_list()[-1])
    return {**refused, **{name: n for name, n in counted.items() if "_duplicates_" in name or "_imputed_" in name}}


def main() -> int:
    truth_file, warehouse = sys.argv[1:]
    truth, seen = hidden(json.loads(Path(truth_file).read_text(encoding="utf-8"))), found(warehouse)
    grid = Table("what", "hidden", "found", title="Dirt in the sample, hidden and found", title_justify="left")
    for name in sorted(truth.keys() | seen.keys()):
        same = truth.get(name, 0) == seen.get(name, 0)
        grid.add_row(name, str(truth.get(name, 0)), str(seen.get(name, 0)), style=None if same else "bold red")
    Console(width=120).print(grid)
    different = [name for name in truth.keys() | seen.keys() if truth.get(name, 0) != seen.get(name, 0)]
    print("Every kind as hidden." if not different else f"Different: {', '.join(sorted(different))}.")
    return 3 if different else 0


if __name__ == "__main__":
    sys.exit(main())
