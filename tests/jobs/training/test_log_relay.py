"""Lines from threads that stand for tasks, as they arrive on the driver's stderr."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import replace

import pytest

from jobs.training.log_relay import LogRelay, RelayedLog


def test_every_line_of_every_task_is_on_stderr_once_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    def task(index: int) -> None:
        with RelayedLog(relay.address) as log:
            for step in range(50):
                log.write({"worker": index, "step": step, "text": "ä" * 500})

    with LogRelay("localhost") as relay:
        tasks = [threading.Thread(target=task, args=(i,)) for i in range(3)]
        for one in tasks:
            one.start()
        for one in tasks:
            one.join()
        found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert sorted((f["worker"], f["step"]) for f in found) == [(i, step) for i in range(3) for step in range(50)]


def test_where_the_driver_cannot_be_reached_lines_stay_on_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    with LogRelay("localhost") as relay:
        address = relay.address
    with RelayedLog(address) as log:  # the relay is closed by now
        log.write({"step": 1})
    assert capsys.readouterr().err == '{"step": 1}\n'


def test_a_stranger_without_the_token_is_not_heard(capsys: pytest.CaptureFixture[str]) -> None:
    with LogRelay("localhost") as relay:
        with socket.create_connection((relay.address.host, relay.address.port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\n\n")
            assert stranger.recv(10) == b""  # closed
        with RelayedLog(replace(relay.address, token="0" * 32)) as log:
            log.write({"step": "lie"})
    assert capsys.readouterr().err == '{"step": "lie"}\n'  # printed where it was written
