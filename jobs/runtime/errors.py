"""Errors of the runtime, and the exit code that any error ends a job with."""

from __future__ import annotations

import re

import delta.exceptions.captured  # noqa: F401  # importing it is what turns the JVM's exceptions into those below
from delta import exceptions

from features.errors import ContractError

DEFECT, TRANSIENT = 1, 10

# What Delta raises when another writer was faster. They have no common class of their own.
LOST_RACE: tuple[type[Exception], ...] = tuple(getattr(exceptions, name) for name in exceptions.__all__)


class ConfigError(Exception):
    """The command or the configuration cannot be used. The message has one line per mistake."""

    exit_code = 2


class TransientError(Exception):
    """It may work when it is tried again: another run was writing, a machine went away."""

    exit_code = TRANSIENT


def known(error: Exception) -> Exception:
    """The error, or what it says where Spark could not read a file: the file, and the last cause."""
    text = str(error)
    unread = re.search(r"\[FAILED_READ_FILE[\w.]*\] Encountered error while reading file (\S+?)\.?\s", text)
    if unread is None or hasattr(error, "exit_code"):
        return error
    causes = re.findall(r"Caused by: (.+)", text)
    return ContractError(f"{unread[1]}: must be a whole file of its format. {causes[-1] if causes else 'It cannot be read.'}")


def reason(error: Exception) -> str:
    """The first line of what an error of the JVM says."""
    return str(getattr(error, "java_exception", error)).partition("\n")[0]


def exit_code(error: BaseException) -> int:
    """Exit code of an error: its own, 10 for a lost race between two writers, else 1."""
    if isinstance(error, LOST_RACE):
        return TRANSIENT
    return getattr(error, "exit_code", DEFECT)
