"""A command line from its arguments to its exit code; every error becomes one."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence

import yaml
from pyspark.sql import SparkSession

from features.errors import ContractError, NoInputError
from jobs.runtime import arguments
from jobs.runtime.arguments import Arguments, Option
from jobs.runtime.config import Scenario, load
from jobs.runtime.errors import ConfigError, exit_code
from jobs.runtime.logs import JsonLog
from jobs.runtime.session import build_session


def run_command(
    name: str,
    description: str,
    argv: Sequence[str] | None,
    execute: Callable[[SparkSession, Scenario, Arguments], int],
    options: Sequence[Option] = (),
) -> int:
    """Parses, loads the configuration, gets the session and executes; returns the exit code."""
    log = JsonLog(job=name)
    try:
        given = arguments.parse(name, description, argv, options)
        config = load(given.config, given.overrides)
        if given.print_config:
            print(yaml.safe_dump(config.dump(), sort_keys=False, allow_unicode=True), end="")
            return 0
        log = JsonLog(run_id=given.run_id, job=name)
        running = SparkSession.getActiveSession()
        with log.step("session"):
            spark = build_session(f"lakeformer {name}")
        if running is None and threading.current_thread() is threading.main_thread():
            # PySpark's handler calls the JVM while a call to it is under way, and fails. A run may end anywhere.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    except Exception as error:
        return failed(log, error)
    try:
        return execute(spark, config, given)
    except Exception as error:
        return failed(log, error)
    finally:
        if running is None:
            spark.stop()


def failed(log: JsonLog, error: Exception) -> int:
    """Tells an error, with its trace where it is none that we know; returns its exit code."""
    code = exit_code(error)
    told = isinstance(error, ConfigError | NoInputError | ContractError) or code != 1
    log.write("failed", exit_code=code, error=str(error), trace=None if told else traceback.format_exc())
    print(f"{log.fields['job']}: {error}" if told else traceback.format_exc(), file=sys.stderr)
    return code
