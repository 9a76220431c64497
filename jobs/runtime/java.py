"""The patterns and encodings of a scenario, asked of Java, which uses them: Python knows others, and not all of these."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.errors import IllegalArgumentException
from pyspark.sql import SparkSession

from jobs.runtime.config import Scenario
from jobs.runtime.errors import ConfigError, reason


def check_java(spark: SparkSession, config: Scenario) -> None:
    """Every pattern can be compiled, one that a column is read by has a group, and every encoding can be read.

    Raises:
        ConfigError: one line per mistake, each with key, rule and the value received.
    """
    mistakes = [mistake for key, pattern in _patterns(config) if (mistake := _bad_pattern(spark, key, pattern))]
    mistakes += [mistake for key, name in _encodings(config) if (mistake := _bad_encoding(spark, key, name))]
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def _patterns(config: Scenario) -> Iterator[tuple[str, str]]:
    for name, source in config.source.given.items():
        for column, mapping in source.columns.items():
            if mapping.pattern is not None:
                yield f"source.{name}.columns.{column}.pattern", mapping.pattern
    for number, check in enumerate(config.clean.checks):
        if check.matches is not None:
            yield f"clean.checks.{number}.matches", check.matches


def _encodings(config: Scenario) -> Iterator[tuple[str, str]]:
    for name, source in config.source.given.items():
        if source.format == "csv":
            yield f"source.{name}.encoding", source.encoding


def _bad_pattern(spark: SparkSession, key: str, pattern: str) -> str | None:
    try:
        groups = spark._jvm.java.util.regex.Pattern.compile(pattern).matcher("").groupCount()  # type: ignore[union-attr]
    except IllegalArgumentException as error:
        return f"{key}: must be a regular expression as Java writes them ({reason(error)}). Received {pattern!r}."
    if key.endswith(".pattern") and groups == 0:
        return f"{key}: must have a group, the value. Received {pattern!r}."
    return None


def _bad_encoding(spark: SparkSession, key: str, name: str) -> str | None:
    if spark._jvm.java.nio.charset.Charset.isSupported(name):  # type: ignore[union-attr]
        return None
    return f"{key}: must be one that Java knows, such as UTF-8, ISO-8859-1 or windows-1252. Received {name!r}."
