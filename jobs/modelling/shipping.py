"""Sends a model and the vectors of its items to the executors as one archive, which Spark unpacks on each machine."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
from pyspark import SparkFiles
from pyspark.sql import SparkSession

from models.scoring.exported import FILES
from models.scoring.scorer import ITEM_VECTORS, Scorer
from models.signals import likeness
from models.signals.likeness import Likeness


def ship(spark: SparkSession, folder: Path, vectors: np.ndarray, alike: Likeness) -> str:
    """The name by which `shipped` finds the model on executors, and `shipped_likeness` what items have in common.

    Args:
        folder: the export; the others are saved beside it.
        vectors: (items, dim) float32.
    """
    np.save(folder / ITEM_VECTORS, np.ascontiguousarray(vectors, np.float32))
    alike.save(folder)
    files = [folder / name for name in (*FILES, ITEM_VECTORS, likeness.FILE)]
    # The name follows from the content: Spark refuses a second file of one name, and another model is another file.
    name = f"model-{_digest(files)}.zip"
    if not Path(SparkFiles.get(name)).is_dir():
        archive = private_folder() / name  # kept until the end of the process: executors fetch it when they start
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:  # weights do not compress
            for file in files:
                opened.write(file, file.name)
        spark.sparkContext.addArchive(str(archive))
    return name


def private_folder() -> Path:
    """A new folder on this machine that goes when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="lakeformer-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _digest(files: list[Path]) -> str:
    hashed = hashlib.sha256()
    for file in files:
        hashed.update(file.read_bytes())
    return hashed.hexdigest()[:16]


@cache
def shipped(name: str) -> Scorer:
    """The model, opened once in each Python worker process."""
    return Scorer.load(SparkFiles.get(name))


@cache
def shipped_likeness(name: str) -> Likeness:
    """What was shipped with a model, likewise."""
    return Likeness.load(SparkFiles.get(name))
