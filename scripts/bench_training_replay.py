#!/usr/bin/env python3
"""SASRec of RePlay as its users train it: scripts/bench_training_replay.py EXAMPLES.npz SETTINGS.json

Runs in an environment of its own that has replay-rec 0.22, torch, lightning and pyarrow. Every example is padded to one
length, and the loss is RePlay's own, the cross entropy over all items at every position. Prints the seconds of each epoch as
one JSON list.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path

import lightning  # type: ignore[import-not-found]  # of the environment that runs this, as all below
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch  # type: ignore[import-not-found]
from replay.data import FeatureHint, FeatureType  # type: ignore[import-not-found]
from replay.data.nn import ParquetModule, TensorFeatureInfo, TensorSchema  # type: ignore[import-not-found]
from replay.nn.lightning import LightningModule  # type: ignore[import-not-found]
from replay.nn.sequential import SasRec  # type: ignore[import-not-found]
from replay.nn.transform.template import make_default_sasrec_transforms  # type: ignore[import-not-found]


class Clock(lightning.Callback):
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self._start = time.monotonic()

    def on_train_epoch_end(self, *_: object) -> None:
        self.seconds.append(time.monotonic() - self._start)


def histories(examples: np.lib.npyio.NpzFile) -> pa.Table:
    """Each example's events and, at the end, its last target: RePlay shifts them itself."""
    rows = []
    for items, targets in zip(examples["items"], examples["targets"], strict=True):
        events = int((items > 0).sum())
        rows.append([*items[:events].tolist(), int(targets[events - 1])])
    return pa.table({"item_id": pa.array(rows, pa.list_(pa.int64()))})


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    given = json.loads(Path(sys.argv[2]).read_text())
    torch.set_num_threads(given["threads"])
    lightning.seed_everything(0)
    with np.load(sys.argv[1]) as examples, tempfile.TemporaryDirectory() as folder:
        length = examples["items"].shape[1]
        pq.write_table(histories(examples), f"{folder}/train.parquet")
        items = TensorFeatureInfo(
            name="item_id", is_seq=True, padding_value=given["items"], cardinality=given["items"], embedding_dim=given["dim"],
            feature_type=FeatureType.CATEGORICAL, feature_hint=FeatureHint.ITEM_ID,
        )  # fmt: skip
        schema, clock = TensorSchema([items]), Clock()
        data = ParquetModule(
            train_path=f"{folder}/train.parquet", batch_size=given["batch_size"],
            metadata={"train": {"item_id": {"shape": length + 1, "padding": given["items"]}}},
            transforms=make_default_sasrec_transforms(schema),
        )  # fmt: skip
        model = SasRec.from_params(
            schema=schema, embedding_dim=given["dim"], num_heads=given["heads"], num_blocks=given["blocks"],
            max_sequence_length=length, dropout=given["dropout"], hidden_dim=4 * given["dim"],
        )  # fmt: skip
        trainer = lightning.Trainer(
            max_epochs=given["epochs"], accelerator=given["device"], limit_val_batches=0, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[clock],
        )  # fmt: skip
        trainer.fit(LightningModule(model), datamodule=data)
    print(json.dumps(clock.seconds))


if __name__ == "__main__":
    main()
