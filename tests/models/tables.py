"""Rows of the sequences and item_content tables, for tests of what reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from features.tables import SEQUENCES
from models.config import ModelConfig, TrainingConfig
from models.inputs import HISTORY, TARGETS, Sizes
from models.stream.delta_log import TableFile
from models.training.spec import PinnedTable, TrainSpec

NAMES = [i.name for i in (*HISTORY, *TARGETS)]
ITEMS = 12  # of the vocabulary, padding and unknown among them
FEATURES = 2  # per position
SIZES = Sizes(
    items=ITEMS, categories=4, event_types=3, user_features=FEATURES, item_numbers=4, item_categories=2, max_length=8,
    user_numbers=1, user_labels=4, user_label_slots=2,
)  # fmt: skip


def sequence_rows(count: int, length: int, seed: int = 0, split: str = "train") -> list[dict[str, object]]:
    """Windows of users who walk round a circle of items: the next item is the last one's successor."""
    rng = np.random.default_rng([seed, length, len(split)])
    rows = []
    for n in range(count):
        events = int(rng.integers(2, length + 1))
        walk = 2 + (rng.integers(ITEMS - 2) + np.arange(events + 1)) % (ITEMS - 2)
        padding = [0] * (length - events)
        ones = [1] * events + padding
        counts = [0] * (events - 1) + [1] + padding if split == "valid" else ones
        rows.append(
            {
                "example_id": f"{split}|{length}|{seed}|{n}",
                "item_ids": [*walk[:-1].tolist(), *padding],
                "event_types": [2] * events + padding,
                "values": rng.normal(size=length).round(3).tolist(),
                "gaps": ones,
                "request_gaps": ones,
                "request_hours": ones,
                "request_weekdays": ones,
                "user_features": rng.normal(size=length * FEATURES).round(3).tolist(),
                "user_numbers": [seed / 10],
                "user_labels": [2 + n % 2, 0],
                "user_label_weights": [1.0, 0.0],
                "targets": [*walk[1:].tolist(), *padding],
                "weights": [float(w) for w in counts],
                "target_values": rng.normal(size=length).round(3).tolist(),
                "target_value_weights": [float(w) for w in counts],
                "split": split,
                "length": length,
            }
        )
    return rows


def arrow_table(rows: list[dict[str, object]]) -> pa.Table:
    """The inputs of `rows`, of the types that Spark writes."""
    types = {i.name: pa.list_(pa.from_numpy_dtype(i.dtype)) for i in (*HISTORY, *TARGETS)}
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in types.items()})


def parquet_file(path: Path, rows: list[dict[str, object]], length: int, row_group: int = 1000) -> TableFile:
    """Writes `rows`, and says of the file what the log would say."""
    pq.write_table(arrow_table(rows), path, row_group_size=row_group)
    return TableFile(str(path), len(rows), {"split": "train", "length": str(length)})


def sequences(spark: SparkSession, rows: list[dict[str, object]]) -> DataFrame:
    names = ["example_id", *NAMES, "split", "length"]
    schema = StructType([SEQUENCES.schema[name] for name in names])
    return spark.createDataFrame([tuple(row[name] for name in names) for row in rows], schema)


def write(df: DataFrame, path: str, mode: str = "append", **options: str) -> None:
    df.write.format("delta").mode(mode).partitionBy("split", "length").options(**options).save(path)


def item_content(items: int = ITEMS) -> pa.Table:
    padding = [(n, "", [0, 0], [0.0] * 4, [], [], 0) for n in range(2)]
    rows = padding + [(n, f"i{n}", [2 + n % 2, 0], [float(n), 1.0, 0.0, 0.0], [], [], 3) for n in range(2, items)]
    kinds = {
        "index": pa.int32(), "item_id": pa.string(), "categories": pa.list_(pa.int32()), "numbers": pa.list_(pa.float32()),
        "labels": pa.list_(pa.int32()), "label_weights": pa.list_(pa.float32()), "train_events": pa.int64(),
    }  # fmt: skip
    return pa.table({name: pa.array(column, kinds[name]) for name, column in zip(kinds, zip(*rows, strict=True), strict=True)})


def item_transitions(items: int = ITEMS) -> pa.Table:
    """Further on, each item came before its successor, three times of four, and the one after that; right after it, its
    predecessor came."""
    real = range(items - 2)
    rows = [(3, 2 + n, rank, 2 + (n + rank) % len(real), (0.75, 0.25)[rank - 1]) for n in real for rank in (1, 2)]
    rows += [(1, 2 + n, 1, 2 + (n - 1) % len(real), 1.0) for n in real]
    kinds = {"reach": pa.int32(), "index": pa.int32(), "rank": pa.int32(), "next_index": pa.int32(), "share": pa.float64()}
    return pa.table({name: pa.array(column, kinds[name]) for name, column in zip(kinds, zip(*rows, strict=True), strict=True)})


def item_values(items: int = ITEMS) -> pa.Table:
    """Items with an even index are liked; each gets values like its two successors, the second more so."""
    real, alike = range(items - 2), ((2, 0.5), (1, 0.25))
    neighbours = [[{"index": 2 + (n + d) % len(real), "similarity": similarity} for d, similarity in alike] for n in real]
    rows = [{"index": 2 + n, "bias": 0.5 - n % 2, "neighbours": neighbours[n]} for n in real]
    pair = pa.struct({"index": pa.int32(), "similarity": pa.float64()})
    return pa.Table.from_pylist(rows, pa.schema({"index": pa.int32(), "bias": pa.float64(), "neighbours": pa.list_(pair)}))


def write_tables(folder: Path, rows: list[dict[str, object]], items: int = ITEMS) -> None:
    """What training reads, in milliseconds where Spark would take seconds."""
    table = arrow_table(rows)
    for name, kind in (("split", pa.string()), ("length", pa.int32())):
        table = table.append_column(name, pa.array([row[name] for row in rows], kind))
    write_deltalake(folder / "sequences", table, partition_by=["split", "length"])
    write_deltalake(folder / "item_content", item_content(items))
    write_deltalake(folder / "item_transitions", item_transitions(items))
    write_deltalake(folder / "item_values", item_values(items))


def training_spec(tables: Path, folder: Path, model: dict[str, Any] | None = None, **training: Any) -> TrainSpec:
    """A tiny model on the tables of `write_tables`; `folder` gets the checkpoints."""
    settings = {
        "epochs": 3, "batch_size": 16, "lanes": 2, "warmup_steps": 5, "checkpoint_steps": 7,
        "learning_rate": 0.01, "average": 0.9, "loss": {"softmax": "full", **training.pop("loss", {})},
    }  # fmt: skip
    return TrainSpec(
        model_id="tiny",
        sequences=PinnedTable(path=str(tables / "sequences"), version=0),
        item_content=PinnedTable(path=str(tables / "item_content"), version=0),
        item_transitions=PinnedTable(path=str(tables / "item_transitions"), version=0),
        item_values=PinnedTable(path=str(tables / "item_values"), version=0),
        model=ModelConfig(**{"dim": 16, "dropout": 0.1, **(model or {})}),
        training=TrainingConfig(**{**settings, **training}),
        sizes=SIZES,
        folder=str(folder),
        threads=1,
    )
