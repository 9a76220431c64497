"""Lines that tasks on executors log, brought to the driver's stderr, where a user looks for them."""

from __future__ import annotations

import hmac
import json
import secrets
import socket
import socketserver
import sys
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

_SECONDS = 5  # within which a task must reach the driver, or else its lines stay in the executor's log


@dataclass(frozen=True)
class RelayAddress:
    """Where a task sends its lines; it travels to the executors. `token` keeps strangers out."""

    host: str
    port: int
    token: str


class LogRelay(AbstractContextManager["LogRelay"]):
    """Prints each JSON line that tasks send, until it is closed."""

    def __init__(self, host: str) -> None:
        """Starts to listen.

        Args:
            host: of the driver, as executors reach it.
        """
        token = secrets.token_hex(16)
        self._server = socketserver.ThreadingTCPServer(("", 0), _printing(token.encode()))
        self._server.daemon_threads = True
        self.address = RelayAddress(host, self._server.server_address[1], token)
        threading.Thread(target=self._server.serve_forever, daemon=True, name="log-relay").start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def _printing(token: bytes) -> type[socketserver.StreamRequestHandler]:
    """Prints the lines of a connection that begins with the token."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            if not hmac.compare_digest(self.rfile.readline(len(token) + 1).rstrip(b"\n"), token):
                return
            for line in self.rfile:
                print_line(line.decode(errors="replace"))
                self.wfile.write(b".")  # the task goes on once its line is out, so none is lost when it ends

    return Handler


class RelayedLog(AbstractContextManager["RelayedLog"]):
    """A task's side: sends lines to the driver, or prints them here where the driver cannot be reached."""

    def __init__(self, address: RelayAddress) -> None:
        try:
            self._socket: socket.socket | None = socket.create_connection((address.host, address.port), timeout=_SECONDS)
            self._socket.sendall(f"{address.token}\n".encode())
        except OSError:
            self._socket = None

    def write(self, fields: dict[str, object]) -> None:
        line = json.dumps(fields) + "\n"
        try:
            if self._socket is None or not self._sent(self._socket, line):
                print_line(line)
        except OSError:
            self._socket = None
            print_line(line)

    @staticmethod
    def _sent(connection: socket.socket, line: str) -> bool:
        connection.sendall(line.encode())
        return connection.recv(1) == b"."

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._socket is not None:
            self._socket.close()


def print_line(line: str) -> None:
    """One line in one write, so that lines of several threads do not mix."""
    sys.stderr.write(line if line.endswith("\n") else line + "\n")
    sys.stderr.flush()
