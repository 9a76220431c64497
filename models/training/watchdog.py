"""Ends a worker that stands still, or whose parent is gone, so that a run never hangs."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from models.errors import WorkerError


class Watchdog(AbstractContextManager["Watchdog"]):
    """Calls `end` once `seconds` have passed without a beat."""

    def __init__(self, seconds: float, end: Callable[[str], None]) -> None:
        """Args:
        end: gets what the worker was doing; it must not return before the process is on its way out.
        """
        self._seconds, self._end = seconds, end
        self._doing, self._since = "start", time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watchdog")
        self._thread.start()

    def beat(self, doing: str) -> None:
        """The worker lives, and does this from now on."""
        self._since, self._doing = time.monotonic(), doing

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(min(self._seconds / 10, 1.0)):
            if time.monotonic() - self._since > self._seconds:
                self._end(self._doing)
                return


def end_with_parent() -> None:
    """Ends this process as soon as its standard input closes, which is when the process that started it is gone."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):  # sys.stdin.read would hold a lock that the interpreter wants at its end
            pass
        os._exit(WorkerError.exit_code)  # threads of TensorFlow would keep a clean exit waiting

    threading.Thread(target=watch, daemon=True, name="parent").start()
