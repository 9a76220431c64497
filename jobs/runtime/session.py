"""The Spark session. Master, memory and secrets come from spark-submit, never from here."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from jobs.runtime.errors import ConfigError

DELTA_PACKAGE = "io.delta:delta-spark_2.13:4.0.1"
PART_BYTES = 16 << 20  # of input, compressed or as text: what a task sorts then fits into its share of 2 GB
MOST_PARTS = 200  # Spark writes so many without sorting rows by part first (spark.shuffle.sort.bypassMergeThreshold)
_PARTITIONS, _FIRST_PARTS = "spark.sql.shuffle.partitions", "spark.sql.adaptive.coalescePartitions.initialPartitionNum"
_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.legacy.javaCharsets": "true",  # Spark 4 would read no CSV in windows-1252 or another of Java's charsets
    # A barrier stage with more workers than slots waits ten minutes by default; these make it fail in seconds.
    "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "2s",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": "2",
    # Each call that makes a column would look up where in our code it stands, for errors' messages: a millisecond or two.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # Of compiled queries Spark keeps a hundred, fewer than one job has: the JVM would compile the same ones again and again.
    "spark.sql.codegen.cache.maxEntries": "2000",
    # Spark's default, INT96, has no statistics to skip rows by, and other readers have to guess its unit.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.hadoop.parquet.enable.dictionary#event_id": "false",  # ids are all different: a dictionary is begun in vain
    # Delta would put a projection over rows that are sorted by their partition, see no order in them and sort them again. It
    # is for partitions that may be empty text, which none of ours can be.
    "spark.databricks.delta.convertEmptyToNullForStringPartitionCol": "false",
}
_DEFAULTS = {  # what is given to spark-submit goes before
    "spark.sql.codegen.hugeMethodLimit": "8000",  # the JVM leaves longer methods uncompiled, which Spark's default ignores
    # A shuffle whose partitions are this small is joined by hash: sorting both sides takes longer.
    "spark.sql.adaptive.maxShuffledHashJoinLocalMapThreshold": "16m",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",  # rows are whole sequences: a batch stays in the cache
}


def check_machine() -> None:
    """Python and Java are the ones that the stack runs on.

    Raises:
        ConfigError: saying what was found, and how to get what is missing.
    """
    if not (3, 11) <= sys.version_info[:2] <= (3, 12):
        raise ConfigError(f"Python must be 3.11 or 3.12, pyarrow 14 has no other wheels. Received {sys.version.split()[0]}.")
    if "PYSPARK_GATEWAY_PORT" in os.environ:  # spark-submit runs us, so Java is there
        return
    home = os.environ.get("JAVA_HOME")
    if not (Path(home, "bin", "java").exists() if home else shutil.which("java")):
        raise ConfigError(
            f"Java 17 must be installed. Received JAVA_HOME={home or ''} and no java there or on the PATH. "
            "Debian, Ubuntu: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17."
        )


def build_session(name: str, master: str | None = None, settings: dict[str, str] | None = None) -> SparkSession:
    """The session that is there, or a new one with Delta and UTC.

    Raises:
        ConfigError: no Java or one that Spark does not run on, a Python that is too new or too old, no Delta on the classpath
            or none that can be fetched.
    """
    check_machine()
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # executors would run the PATH's python3
    builder = SparkSession.builder.appName(name)
    if master:
        builder = builder.master(master)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # spark-submit --packages has done it, or it is too late
        builder = builder.config("spark.jars.packages", DELTA_PACKAGE)
    builder = builder.config("spark.ui.showConsoleProgress", str(sys.stderr.isatty()).lower())
    for key, value in {**_SETTINGS, **(settings or {})}.items():
        builder = builder.config(key, value)
    try:
        spark: SparkSession = builder.getOrCreate()
    except PySparkRuntimeError as error:
        if error.getCondition() != "JAVA_GATEWAY_EXITED":
            raise
        raise ConfigError(
            "Spark must start, and its JVM has ended; what it said stands above. It needs Java 17 or 21 (JAVA_HOME names one) "
            f"and {DELTA_PACKAGE}, which it fetches from Maven Central once: scripts/setup sees to both."
        ) from error
    _check_delta(spark)
    _set_defaults(spark)
    return spark


def _check_delta(spark: SparkSession) -> None:
    try:
        spark._jvm.java.lang.Class.forName(  # type: ignore[union-attr]
            "io.delta.tables.DeltaTable",
            True,
            spark._jvm.java.lang.Thread.currentThread().getContextClassLoader(),  # type: ignore[union-attr]
        )
    except Exception as error:
        raise ConfigError(
            f"Delta must be on the classpath. Submit with --packages {DELTA_PACKAGE}, as scripts/submit does."
        ) from error


def _set_defaults(spark: SparkSession) -> None:
    """Sets what the session was not given.

    Numbers of parts go by the machine: those of Spark and Delta are for large clusters, and on a laptop most of a small job's
    time.
    """
    given, parallelism = spark.sparkContext.getConf(), spark.sparkContext.defaultParallelism
    by_size = {_PARTITIONS: 2 * parallelism, "spark.databricks.delta.snapshotPartitions": min(50, parallelism)}
    for key, value in {**_DEFAULTS, **by_size}.items():
        if not given.contains(key):
            spark.conf.set(key, str(value))
    if not given.contains("spark.log.level"):
        spark.sparkContext.setLogLevel("ERROR")


def fit_shuffles(spark: SparkSession, input_bytes: int) -> None:
    """Rows are sent to as many parts as keep their sorts in memory; Spark brings together those that stay small.

    A session that was given a number of either keeps it.
    """
    given = spark.sparkContext.getConf()
    if not (given.contains(_PARTITIONS) or given.contains(_FIRST_PARTS)):
        spark.conf.set(_FIRST_PARTS, str(shuffle_parts(int(spark.conf.get(_PARTITIONS) or 1), input_bytes)))


def shuffle_parts(least: int, input_bytes: int) -> int:
    """Of a shuffle of so much input; many parts of little input would cost more than they save."""
    return max(least, min(-(-input_bytes // PART_BYTES), MOST_PARTS))
