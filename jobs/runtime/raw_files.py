"""Which raw files a source means, and their first lines: all through Hadoop, so a path may lie on any file system."""

from __future__ import annotations

import csv
import re
from typing import Any

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.sql import SparkSession

from features.errors import ContractError, NoInputError
from features.source.config import EventSource, FileSource
from jobs.runtime.dates import DateRange
from jobs.runtime.days import Days
from jobs.runtime.files import hadoop_path

DATE = "{date}"


def day_paths(path: str, dates: DateRange | None) -> list[str]:
    """The path once per day of the run where it holds {date}; any day's where the run has no dates."""
    if DATE not in path:
        return [path]
    if dates is None:
        return [path.replace(DATE, "*")]
    return [path.replace(DATE, day.isoformat()) for day in Days.within(dates)]


def paths_read(source: FileSource, dates: DateRange | None) -> list[str]:
    """`day_paths`, and those of the days before and after, whose files may hold events of the run's days."""
    if dates is None or not isinstance(source, EventSource):
        return day_paths(source.path, dates)
    days = Days.within(dates)
    (around,) = (days.earlier(source.late_days) | days | days.later(source.late_days)).ranges()
    return day_paths(source.path, around)


def list_files(spark: SparkSession, source: FileSource, dates: DateRange | None) -> list[tuple[str, int, int]]:
    """(path, bytes, modification time in ms) of each file, by path. Names that begin with _ or . are no data, as in Spark.

    Raises:
        NoInputError: there is none of the run's days, whether or not there are some of the days before and after.
    """
    own, read = day_paths(source.path, dates), paths_read(source, dates)
    files = [file for path in own for file in _matches(spark, path)]
    if not files:
        raise NoInputError(f"{source.path}: there must be at least one file. Found none at {_few(own)}.")
    return sorted(files + [file for path in read if path not in own for file in _matches(spark, path)])


def _few(paths: list[str]) -> str:
    return ", ".join(paths if len(paths) <= 3 else [*paths[:2], "...", paths[-1]])


def _matches(spark: SparkSession, pattern: str) -> list[tuple[str, int, int]]:
    path, system = hadoop_path(spark, pattern)
    files: list[Any] = []
    for status in system.globStatus(path) or []:
        if not status.isDirectory():
            files.append((status, status.getPath().getName()))
            continue
        root, inside = status.getPath().toString(), system.listFiles(status.getPath(), True)
        while inside.hasNext():
            found = inside.next()
            files.append((found, found.getPath().toString()[len(root) + 1 :]))
    return [
        (status.getPath().toString(), int(status.getLen()), int(status.getModificationTime()))
        for status, name in files
        if not re.search(r"(^|/)[_.]", name)
    ]


def common_folder(spark: SparkSession, path: str) -> str:
    """The folder below which every file of the source lies, encoded as in a URI: file names are told from there on."""
    fixed = re.split(r"[*?\[{]", path)[0]
    if fixed != path:
        folder = fixed.rpartition("/")[0] or "."
    else:
        hadoop, system = hadoop_path(spark, path)
        folder = (
            path if system.exists(hadoop) and system.getFileStatus(hadoop).isDirectory() else path.rpartition("/")[0] or "."
        )
    hadoop, system = hadoop_path(spark, folder)
    return str(system.makeQualified(hadoop).toUri().getRawPath()).rstrip("/")


def encoded(spark: SparkSession, name: str) -> str:
    """A part of a file's name as it stands in a URI."""
    hadoop, _ = hadoop_path(spark, f"/_{name}")  # of a dot alone, or of nothing, Hadoop would make no name
    return str(hadoop.toUri().getRawPath()).removeprefix("/_")


def csv_header(spark: SparkSession, path: str, source: FileSource) -> tuple[str, ...] | None:
    """The column names in a file's first line, uncompressed; None: the file is empty.

    Raises:
        ContractError: the file is not compressed as its name says.
    """
    jvm: Any = spark._jvm
    hadoop, system = hadoop_path(spark, path)
    codec = jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(spark._jsc.hadoopConfiguration()).getCodec(hadoop)
    stream = system.open(hadoop)
    try:
        plain = codec.createInputStream(stream) if codec else stream
        line = jvm.java.io.BufferedReader(jvm.java.io.InputStreamReader(plain, source.encoding)).readLine()
    except Py4JJavaError as error:
        raise ContractError(f"{path}: must be a whole file of its format. {error.java_exception}") from error
    finally:
        stream.close()
    return None if line is None else split_line(line.removeprefix("\ufeff"), source.separator, source.quote, source.escape)


def split_line(line: str, separator: str, quote: str, escape: str | None = None) -> tuple[str, ...]:
    """The fields of a CSV line without line breaks in quotes."""
    if len(separator) > 1:  # more than Python's csv can do
        return tuple(field.strip(quote or None).strip() for field in line.split(separator))
    if not quote:
        unquoted = line.split(separator)
    else:
        reader = csv.reader([line], delimiter=separator, quotechar=quote, escapechar=escape, doublequote=escape is None)
        unquoted = next(reader, [])
    return tuple(field.strip() for field in unquoted)
