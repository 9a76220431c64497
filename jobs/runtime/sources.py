"""Raw rows as they came, each with its place in its file; nothing is dropped here. The only place that opens raw files.

A raw frame has the columns
    file      string   name of the file, from the source's common folder on
    block     bigint   where the split of the file began that the row was read in
    row       bigint   orders the rows of a block
    file_day  date     the {date} in the file's path; null: the path has none
    line      string   the line itself; null: it is not kept, since `fields` say as much
    broken    boolean  true: the line could not be split into its fields
    fields    struct   the source's columns under their own names: text, or typed where Parquet or Delta say so
(file, block, row) is the source order, by which ties and duplicates are decided.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import reduce

from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from features.errors import ContractError, NoInputError
from features.source.config import FileSource
from features.source.raw import mapped_columns, quoted
from jobs.runtime.dates import DateRange
from jobs.runtime.errors import ConfigError, reason
from jobs.runtime.raw_files import DATE, common_folder, csv_header, encoded, list_files, paths_read

_CORRUPT = "_corrupt_line"
_FIRST_LINES = 1_000


def raw_files(spark: SparkSession, name: str, source: FileSource, dates: DateRange | None) -> list[tuple[str, int, int]]:
    """(path, bytes, modification time) of each file of a source (`name` as below); of a Delta table (path, version, 0).

    Raises:
        NoInputError: there is no such file or table.
        ConfigError: the path is none, or not on a file system that can be reached; the table has no such version.
    """
    try:
        if source.format != "delta":
            return list_files(spark, source, dates)
        version = _delta_version(spark, source)
    except (Py4JJavaError, PySparkException) as error:
        raise ConfigError(
            f"source.{name}.path: must be a path or a pattern on a file system that can be reached. "
            f"Received {source.path!r}: {reason(error)}"
        ) from error
    try:
        spark.read.format("delta").option("versionAsOf", version).load(source.path)
    except AnalysisException as error:
        raise ConfigError(
            f"source.{name}.version: must be a version that {source.path} has. Received {version}: {reason(error)}"
        ) from error
    return [(source.path, version, 0)]


def read_raw(spark: SparkSession, name: str, source: FileSource, dates: DateRange | None = None) -> DataFrame:
    """The raw frame of one source (`name` is events, items, users or tags).

    Of events whose path holds {date}, the files of `late_days` around `dates` are read, too.

    Raises:
        NoInputError: no file, or only empty ones.
        ContractError: a column that the configuration maps is not there, naming file, column and what was found.
    """
    if source.format == "csv":
        return _read_csv(spark, name, source, dates)
    if source.format == "json":
        return _read_json(spark, source, dates)
    if source.format == "json_map":
        return _read_json_map(spark, name, source, dates)
    return _read_typed(spark, name, source, dates)


def _read_csv(spark: SparkSession, name: str, source: FileSource, dates: DateRange | None) -> DataFrame:
    """Files are read together where they agree on the header, since the order of columns may change over the years."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for path, size, _ in list_files(spark, source, dates):
        # One after the other on the driver, so no file is opened to learn what is known.
        header = (source.header or csv_header(spark, path, source)) if size else None
        if header is not None:
            groups.setdefault(header, []).append(path)
    if not groups:
        raise NoInputError(f"{source.path}: a file must have rows. Received empty files only.")
    for header, paths in groups.items():
        _check_columns(name, source, paths[0], header)
    frames = [_read_csv_group(spark, source, header, paths) for header, paths in groups.items()]
    return reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)


def _read_csv_group(spark: SparkSession, source: FileSource, header: tuple[str, ...], paths: list[str]) -> DataFrame:
    columns = [f"c{i}" for i in range(len(header))]  # places, since a header may hold any characters
    reader = spark.read.options(
        header=source.header is None,
        sep=source.separator,
        encoding=source.encoding,
        quote=source.quote,
        escape=source.escape or source.quote or "\0",  # else a quote within quotes stands twice, RFC 4180
        multiLine=source.multiline,
        mode="PERMISSIVE",
        columnNameOfCorruptRecord=_CORRUPT,
        columnPruning=False,  # a line is broken or not, whichever columns are asked for
    )
    rows = reader.schema(_text_schema([*columns, _CORRUPT])).csv([_literal(p) for p in paths])
    fields = [F.col(c).alias(name) for c, name in zip(columns, header, strict=True)]
    return rows.select(*_position(spark, source), *_content(F.col(_CORRUPT), F.col(_CORRUPT).isNotNull(), F.struct(*fields)))


def keys_not_found(spark: SparkSession, source: FileSource, dates: DateRange | None) -> dict[str, list[str]]:
    """Mapped keys that none of the first lines of a JSON source has, as `keys`, and those that are there, as `found`.

    Empty where all are found. It need be no mistake: a key may be left out wherever it has no value.
    """
    paths = [_literal(path) for path, size, _ in list_files(spark, source, dates) if size]
    if not paths:
        return {}
    lines = spark.read.text(paths[:1]).where(F.trim("value") != "").limit(_FIRST_LINES)
    found = [row["key"] for row in lines.select(F.explode(F.json_object_keys("value")).alias("key")).distinct().collect()]
    keys = [column for column in mapped_columns(source) if column not in found]
    return {"keys": keys, "found": sorted(found)} if keys else {}


def _read_json(spark: SparkSession, source: FileSource, dates: DateRange | None) -> DataFrame:
    paths = [_literal(path) for path, _, _ in list_files(spark, source, dates)]
    _check_once(source.path, mapped_columns(source))
    schema = _text_schema([*mapped_columns(source), _CORRUPT])
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _CORRUPT}
    lines = spark.read.text(paths).select(
        *_position(spark, source), "value", F.from_json("value", schema, options).alias("fields")
    )
    rows = lines.where(F.trim("value") != "")  # as in CSV, an empty line is no row
    corrupt = F.col(f"fields.{_CORRUPT}").isNotNull()
    return rows.select(*_POSITION, *_content(F.col("value"), corrupt, F.col("fields").dropFields(_CORRUPT)))


def _read_json_map(spark: SparkSession, name: str, source: FileSource, dates: DateRange | None) -> DataFrame:
    """A file that is no JSON object is one broken row."""
    files = list_files(spark, source, dates)
    _check_columns(name, source, files[0][0], ("key", "value"))
    whole = spark.read.text([_literal(path) for path, _, _ in files], wholetext=True)
    pairs = F.from_json("value", "map<string,string>").alias("pairs")
    entries = whole.select(*_position(spark, source, F.lit(0).cast("bigint")), F.col("value").alias("text"), pairs)
    rows = entries.select("*", F.posexplode_outer("pairs").alias("at", "key", "value"))
    rows = rows.where("at IS NOT NULL OR pairs IS NULL")  # an empty object has no row
    broken, line = F.col("pairs").isNull(), F.when(F.col("pairs").isNull(), F.col("text"))
    row = F.coalesce("at", F.lit(0)).cast("bigint").alias("row")
    return rows.select("file", "block", row, "file_day", *_content(line, broken, F.struct("key", "value")))


def _read_typed(spark: SparkSession, name: str, source: FileSource, dates: DateRange | None) -> DataFrame:
    if source.format == "delta":
        version = _delta_version(spark, source)
        rows, row = spark.read.format("delta").option("versionAsOf", version).load(source.path), None
    else:
        list_files(spark, source, dates)
        found = [path for path in paths_read(source, dates) if _exists(spark, source, path)]
        rows, row = _parquet(spark, source, found), F.col("_metadata.row_index")
    _check_columns(name, source, source.path, rows.columns)
    nothing = F.lit(None).cast("string")
    fields = F.struct(*[F.col(quoted(c)) for c in rows.columns])
    return rows.select(*_position(spark, source, row), *_content(nothing, F.lit(False), fields))


def _parquet(spark: SparkSession, source: FileSource, paths: list[str]) -> DataFrame:
    try:
        return spark.read.parquet(*paths)
    except AnalysisException as error:
        if error.getCondition() != "PARQUET_TYPE_ILLEGAL":
            raise
        message = str(error).split("SQLSTATE", maxsplit=1)[0].strip()
        raise ContractError(
            f"{source.path}: must hold types that Spark reads; timestamps in micro- or milliseconds, not nanoseconds. {message}"
        ) from error


_POSITION = ("file", "block", "row", "file_day")


def _position(spark: SparkSession, source: FileSource, row: Column | None = None) -> list[Column]:
    """Where a row stands. Rows of a block are read in order by one task, so that Spark's increasing ids number them."""
    folder = rf"^\w[\w+.-]*:(//[^/]*)?{re.escape(common_folder(spark, source.path))}/"  # after file: or s3a://bucket
    block = F.lit(0).cast("bigint") if row is not None else F.col("_metadata.file_block_start")
    file = F.regexp_replace("_metadata.file_path", folder, "")
    return [
        file.alias("file"),
        block.alias("block"),
        (row if row is not None else F.monotonically_increasing_id()).alias("row"),
        _file_day(spark, file, source.path).alias("file_day"),
    ]


def _file_day(spark: SparkSession, file: Column, template: str) -> Column:
    """The day in a file's name, as `file` tells it from the common folder on, where the template has {date}."""
    if DATE not in template:
        return F.lit(None).cast("date")
    before, _, after = template.partition(DATE)
    below = before[re.split(r"[*?\[{]", before)[0].rfind("/") + 1 :]  # the common folder
    folders, name = below.count("/"), re.split(r"[/*?\]}]", below)[-1]
    end = r"(?:/|$)" if re.match(r"/|$", after) else ""
    name, after = (re.escape(encoded(spark, part)) for part in (name, re.split(r"[/*?\[{]", after)[0]))
    pattern = rf"^(?:[^/]*/){{{folders}}}[^/]*?{name}(\d{{4}}-\d{{2}}-\d{{2}}){after}{end}"
    return F.regexp_extract(file, pattern, 1).try_cast("date")


def _content(line: Column, broken: Column, fields: Column) -> list[Column]:
    return [line.alias("line"), broken.alias("broken"), fields.alias("fields")]


def _check_columns(name: str, source: FileSource, path: str, found: Iterable[str]) -> None:
    found = list(found)
    missing = [column for column in mapped_columns(source) if column not in found]
    if missing:
        raise ContractError(
            f"{path}: source.{name} maps columns that are not there: {', '.join(map(repr, missing))}. "
            f"Found: {', '.join(map(repr, found))}."
        )
    _check_once(path, found)


def _check_once(path: str, columns: Sequence[str]) -> None:
    """Spark takes names for the same that differ in case only."""
    twice = {c for c in columns if [name.lower() for name in columns].count(c.lower()) > 1}
    if twice:
        raise ContractError(f"{path}: a column's name must stand once in whatever case. Found {sorted(twice)}.")


def _text_schema(columns: Iterable[str]) -> StructType:
    return StructType([StructField(column, StringType()) for column in columns])


def _literal(path: str) -> str:
    """The path of one file, that Spark would otherwise take for a pattern."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)


def _exists(spark: SparkSession, source: FileSource, path: str) -> bool:
    try:
        return bool(list_files(spark, source.model_copy(update={"path": path}), None))
    except NoInputError:
        return False


def _delta_version(spark: SparkSession, source: FileSource) -> int:
    if not DeltaTable.isDeltaTable(spark, source.path):
        raise NoInputError(f"{source.path}: there must be a Delta table. Found none.")
    if source.version is not None:
        return source.version
    newest = DeltaTable.forPath(spark, source.path).history(1).select("version").head()
    assert newest is not None  # noqa: S101  # a table has a version
    return int(newest["version"])
