"""Single files on any file system that Spark knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession


def hadoop_path(spark: SparkSession, path: str) -> tuple[Any, Any]:
    """The JVM's Path, and the FileSystem that it lies on."""
    hadoop = spark._jvm.org.apache.hadoop.fs.Path(path)  # type: ignore[union-attr]
    return hadoop, hadoop.getFileSystem(spark._jsc.hadoopConfiguration())


def qualified(spark: SparkSession, path: str) -> str:
    """The path with the file system that it lies on, as in file:/lake."""
    hadoop, system = hadoop_path(spark, path)
    return str(system.makeQualified(hadoop).toString())


def fetch(spark: SparkSession, source: str, target: Path) -> None:
    """Copies a file to this machine.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path, system = hadoop_path(spark, source)
    if not system.exists(path):
        raise FileNotFoundError(source)
    system.copyToLocalFile(False, path, hadoop_path(spark, f"file:{target}")[0], True)  # True: no checksum file beside it


def write_text(spark: SparkSession, target: str, text: str) -> None:
    """Writes a file whole or not at all; one that is there is replaced."""
    path, system = hadoop_path(spark, target)
    draft, _ = hadoop_path(spark, f"{target}.draft")
    stream = system.create(draft, True)
    stream.write(bytearray(text.encode()))
    stream.close()
    system.delete(path, False)
    system.rename(draft, path)
