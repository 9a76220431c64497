"""The regular expressions of a scenario, asked of Java, which runs them: Python knows others, and not all of these."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.errors import IllegalArgumentException
from pyspark.sql import SparkSession

from jobs.runtime.config import Scenario
from jobs.runtime.errors import ConfigError


def check_patterns(spark: SparkSession, config: Scenario) -> None:
    """Every pattern can be compiled, and one that a column is read by has a group.

    Raises:
        ConfigError: one line per mistake, each with key, rule and the value received.
    """
    mistakes = [mistake for key, pattern in _declared(config) if (mistake := _mistake(spark, key, pattern))]
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def _declared(config: Scenario) -> Iterator[tuple[str, str]]:
    sources = {name: getattr(config.source, name) for name in ("events", "items", "tags", "users")}
    for name, source in sources.items():
        for column, mapping in source.columns.items() if source is not None else ():
            if mapping.pattern is not None:
                yield f"source.{name}.columns.{column}.pattern", mapping.pattern
    for number, check in enumerate(config.clean.checks):
        if check.matches is not None:
            yield f"clean.checks.{number}.matches", check.matches


def _mistake(spark: SparkSession, key: str, pattern: str) -> str | None:
    try:
        groups = spark._jvm.java.util.regex.Pattern.compile(pattern).matcher("").groupCount()  # type: ignore[union-attr]
    except IllegalArgumentException as error:
        why = str(error).splitlines()[0]
        return f"{key}: must be a regular expression as Java writes them ({why}). Received {pattern!r}."
    if key.endswith(".pattern") and groups == 0:
        return f"{key}: must have a group, the value. Received {pattern!r}."
    return None
