"""Rows of the sequences and item_content tables, for tests of what reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from features.tables import ITEM_CONTENT, SEQUENCES
from models.delta_log import TableFile
from models.inputs import HISTORY, TARGETS, Sizes

NAMES = [i.name for i in (*HISTORY, *TARGETS)]
ITEMS = 12  # of the vocabulary, padding and unknown among them
FEATURES = 2  # per position
SIZES = Sizes(
    items=ITEMS, categories=4, event_types=3, user_features=FEATURES, item_numbers=4, item_categories=2, max_length=8
)


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


def write_item_content(spark: SparkSession, path: str, items: int = ITEMS) -> None:
    rows = [(n, f"i{n}" if n > 1 else "", [2 + n % 2, 0] if n > 1 else [0, 0], [float(n), 1.0, 0.0, 0.0], 3) for n in range(items)]
    spark.createDataFrame(rows, ITEM_CONTENT.schema).write.format("delta").mode("overwrite").save(path)
