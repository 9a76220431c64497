"""Starts a training worker as a process of its own, since TensorFlow's state cannot be cleaned within one, and watches it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from models.errors import INTERRUPTED, WorkerError
from models.training.spec import TrainingResult

PEER_LOST = "peer_lost"  # field of a worker's last line
POLL_SECONDS = 0.1
GRACE_SECONDS = 3.0  # a worker whose peer is gone notices by itself within about a second, and says more than we could


@dataclass(frozen=True)
class Ended:
    """How a worker ended.

    result     the chief's, if it trained to the end
    killed     by SIGKILL, which nobody here sent, as a system does that is out of memory
    peer_lost  it ended for the end of another worker
    """

    code: int
    message: str
    result: TrainingResult | None = None
    killed: bool = False
    peer_lost: bool = False


class WorkerProcess:
    """A running worker; it ends when this process does, however that ends."""

    def __init__(
        self,
        spec: str,
        *,
        addresses: Sequence[str] = (),
        index: int = 0,
        port: socket.socket | None = None,
        threads: int | None = None,
        gpus: Sequence[str] = (),
        log: Callable[[str], None],
    ) -> None:
        """Args:
        spec: path of the run's spec.
        addresses: host:port of every worker; with fewer than two the worker is alone.
        gpus: addresses of the GPUs that it may use; none: all that this process sees.
        port: socket that holds this worker's port; it is closed here, and by the worker just before it listens there.
        log: gets each JSON line that the worker writes.
        """
        command = [sys.executable, "-m", "models.training.worker", spec, "--with-parent"]
        command += ["--port-fd", str(port.fileno())] if port else []
        pipe = subprocess.PIPE
        self._index, self._log = index, log
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=[port.fileno()] if port else [],
            env=_environment(addresses, index, threads, gpus), text=True, errors="replace",
        )  # fmt: skip
        if port:
            port.close()
        self._noise: deque[str] = deque(maxlen=5)  # of lines that are not JSON, the last
        self._errors: list[dict[str, Any]] = []
        self._results: list[str] = []
        self._readers = [
            _reading(self._process.stderr, self._take_line),
            _reading(self._process.stdout, self._results.append),
        ]

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, given_up: Callable[[], bool] = lambda: False) -> Ended:
        """Waits for the end. Once `given_up` says so, the worker has a moment to end by itself before it is killed."""
        deadline: float | None = None
        try:
            while self._process.poll() is None:
                if deadline is None and given_up():
                    deadline = time.monotonic() + GRACE_SECONDS
                if deadline is not None and time.monotonic() > deadline:
                    self._process.kill()
                    self._process.wait()
                    message = f"worker {self._index} was stopped: another worker has ended."
                    return Ended(WorkerError.exit_code, message, peer_lost=True)
                time.sleep(POLL_SECONDS)
            for reader in self._readers:
                reader.join()
            return self._ended()
        finally:
            self._process.kill()

    def _ended(self) -> Ended:
        code = self._process.returncode
        if code == 0:
            return Ended(0, "", TrainingResult(**json.loads(self._results[-1])) if self._results else None)
        if code < 0 or code == INTERRUPTED:
            by = signal.SIGINT if code == INTERRUPTED else signal.Signals(-code)
            return Ended(WorkerError.exit_code, f"worker {self._index} was ended by {by.name}.", killed=by == signal.SIGKILL)
        if self._errors:
            last = self._errors[-1]
            return Ended(code, str(last["error"]), peer_lost=bool(last.get(PEER_LOST)))
        return Ended(code, f"worker {self._index} ended with exit code {code}. It said: {' '.join(self._noise)}")

    def _take_line(self, line: str) -> None:
        fields = _json(line)
        if fields is None:
            self._noise.append(line.strip())
            return
        if fields.get("step") == "error":
            self._errors.append(fields)
        self._log(line.rstrip("\n"))


def first_cause(ends: Iterable[Ended]) -> Ended | None:
    """Of workers that ended badly the one to report: what is refused for good, then who was ended, then who noticed."""
    failed = [end for end in ends if end.code]
    failed.sort(key=lambda end: (end.code == WorkerError.exit_code, end.peer_lost))
    return failed[0] if failed else None


def _environment(addresses: Sequence[str], index: int, threads: int | None, gpus: Sequence[str]) -> dict[str, str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),  # zips of --py-files among them
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    environment.pop("TF_CONFIG", None)
    if len(addresses) > 1:
        task = {"type": "worker", "index": index}
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": list(addresses)}, "task": task})
    if threads:
        environment |= {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    return environment


def _json(line: str) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _reading(stream: IO[str] | None, take: Callable[[str], None]) -> threading.Thread:
    def read() -> None:
        for line in stream or ():
            take(line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread
