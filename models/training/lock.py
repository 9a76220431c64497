"""One process at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import WorkerError


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Has the file `lock` to itself for so long; the file stays. The system lets go of it however this process ends. On a file
    system without locks nobody is kept away.

    Raises:
        WorkerError: another process has it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkerError(f"{lock}: must be free. Another run is at work, train once that has ended.") from error
        except OSError:
            pass
        yield
