"""Single files on any file system that Spark knows."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession


def fetch(spark: SparkSession, source: str, target: Path) -> None:
    """Copies a file to this machine.

    Raises:
        FileNotFoundError: there is no such file.
    """
    system, path = _open(spark, source)
    if not system.exists(path):
        raise FileNotFoundError(source)
    system.copyToLocalFile(False, path, _open(spark, f"file:{target}")[1], True)  # True: no checksum file beside it


def write_text(spark: SparkSession, target: str, text: str) -> None:
    """Writes a file whole or not at all; one that is there is replaced."""
    system, path = _open(spark, target)
    draft = _open(spark, f"{target}.draft")[1]
    stream = system.create(draft, True)
    stream.write(bytearray(text.encode()))
    stream.close()
    system.delete(path, False)
    system.rename(draft, path)


def _open(spark: SparkSession, path: str):  # type: ignore[no-untyped-def]  # objects of the JVM
    hadoop = spark._jvm.org.apache.hadoop.fs.Path(path)  # type: ignore[union-attr]
    return hadoop.getFileSystem(spark._jsc.hadoopConfiguration()), hadoop
