import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.training.cluster import WorkerTask, worker_task
from models.training.launch import Ended, WorkerProcess, first_cause
from models.training.spec import TrainSpec
from models.training.watchdog import Watchdog
from models.training.worker import configure
from tests.models.tables import sequence_rows, training_spec, write_tables

EPOCHS, STEPS = 10, 50


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5 steps an epoch: 40 rows and 50 rows by 2 lanes of 10."""
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder, [*sequence_rows(40, 4), *sequence_rows(50, 8)])
    return folder


def train(
    spec: TrainSpec, during: Callable[[list[WorkerProcess]], None] = lambda processes: None
) -> tuple[list[Ended], list[str]]:
    """Runs the spec on real processes, as a barrier stage would."""
    Path(spec.folder).mkdir(exist_ok=True)
    path = Path(spec.folder, "spec.json")
    path.write_text(spec.model_dump_json())
    ports = [socket.socket() for _ in range(spec.training.workers)]
    for port in ports:
        port.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{port.getsockname()[1]}" for port in ports]
    lines: list[str] = []
    processes = [
        WorkerProcess(str(path), addresses=addresses, index=i, port=port, threads=1, log=lines.append)
        for i, port in enumerate(ports)
    ]
    during(processes)
    return [process.wait() for process in processes], lines


def numbers(folder: str) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(folder)
    names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n and "save_counter" not in n]
    return {name: reader.get_tensor(name) for name in names}


def losses(lines: list[str]) -> list[float]:
    return [line["loss"] for line in map(json.loads, lines) if line["step"] == "epoch"]


@pytest.fixture(scope="module")
def alone(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainSpec, list[Ended], list[str]]:
    spec = training_spec(tables, tmp_path_factory.mktemp("alone"), epochs=EPOCHS, batch_size=20)
    return spec, *train(spec)


def test_two_workers_give_the_loss_of_one_after_fifty_steps_to_six_digits(tables, tmp_path, alone):
    (one,), lines = alone[1:]
    assert one.code == 0, one.message
    (chief, other), lines_of_two = train(training_spec(tables, tmp_path, epochs=EPOCHS, batch_size=20, workers=2))
    assert (chief.code, other.code) == (0, 0), (chief.message, other.message)
    assert [line["steps"] for line in map(json.loads, lines_of_two) if line["step"] == "epoch"][-1] == STEPS
    assert losses(lines_of_two) == pytest.approx(losses(lines), rel=1e-6)
    assert chief.result is not None
    assert one.result is not None
    assert chief.result.metrics["loss"] == pytest.approx(one.result.metrics["loss"], rel=1e-6)
    assert other.result is None  # the chief alone has a result


def test_a_killed_worker_ends_its_peer_at_once_and_the_resumed_run_is_the_undisturbed_run(tables, tmp_path, alone):
    spec = training_spec(tables, tmp_path, epochs=EPOCHS, batch_size=20, workers=2)

    def kill_one(processes: list[WorkerProcess]) -> None:
        while not list(tmp_path.glob("step-*.index")):
            time.sleep(0.02)
        os.kill(processes[1].pid, signal.SIGKILL)

    ends, _ = train(spec, kill_one)
    assert [end.code for end in ends] == [10, 10]
    assert ends[0].message == "worker 0 of 2: another worker is gone (UnavailableError)."
    assert ends[1] == Ended(10, "worker 1 was ended by SIGKILL.", killed=True)
    assert first_cause(ends) == ends[1]
    # On with one worker: the lanes decide the result, not the workers.
    (end,), lines = train(training_spec(tables, tmp_path, epochs=EPOCHS, batch_size=20, workers=1))
    assert end.code == 0, end.message
    assert json.loads(lines[0])["step"] == "resume"
    resumed, undisturbed = numbers(spec.folder), numbers(alone[0].folder)
    assert resumed.keys() == undisturbed.keys()
    for name, value in undisturbed.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)


def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "models.training.worker", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


def test_a_spec_that_cannot_be_read_ends_with_2(tmp_path):
    (tmp_path / "spec.json").write_text("{}")
    _, error = (process := start(str(tmp_path / "spec.json"))).communicate()
    assert process.returncode == 2
    assert "must be a training spec" in json.loads(error.splitlines()[-1])["error"]


def test_a_worker_that_is_interrupted_by_hand_ends_with_130_and_waits_for_nobody(tables, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(training_spec(tables, tmp_path, epochs=1000).model_dump_json())
    with start(str(path)) as process:
        try:
            assert '"step": "begin"' in next(line for line in process.stderr if line.startswith("{"))
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 130
            told = json.loads(process.stderr.read().splitlines()[-1])
        finally:
            process.kill()
    assert told["error"] == "interrupted. The same command goes on from the last checkpoint."


def test_a_worker_ends_when_the_process_that_started_it_is_gone(tables, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(training_spec(tables, tmp_path, epochs=1000).model_dump_json())
    process = start(str(path), "--with-parent", stdin=subprocess.PIPE)
    process.stdin.close()
    assert process.wait(timeout=30) == 10


def test_a_worker_whose_siblings_failed_is_stopped_even_if_it_has_noticed_nothing(tables, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(training_spec(tables, tmp_path, epochs=1000, workers=2).model_dump_json())
    nobody = ["127.0.0.1:1", "127.0.0.1:2"]  # a cluster that never comes together
    worker = WorkerProcess(str(path), addresses=nobody, index=1, log=lambda line: None)
    ended = worker.wait(given_up=lambda: True)
    assert ended == Ended(10, "worker 1 was stopped: another worker has ended.", peer_lost=True)


def test_the_cause_is_what_is_refused_then_who_was_ended_then_who_noticed():
    noticed, killed, refused = Ended(10, "x", peer_lost=True), Ended(10, "ended by SIGKILL"), Ended(3, "no rows")
    assert first_cause([noticed, killed, refused]) == refused
    assert first_cause([Ended(0, ""), noticed, killed]) == killed
    assert first_cause([Ended(0, "")]) is None


def test_a_step_that_takes_too_long_ends_the_worker_and_is_named():
    ended, done = [], threading.Event()
    with Watchdog(0.2, lambda doing: (ended.append(doing), done.set())) as watchdog:
        for step in range(5):
            watchdog.beat(f"step {step}")
            time.sleep(0.1)
        assert not ended
        assert done.wait(timeout=5)
    assert ended == ["step 4"]


STALLED = """
import os, time
from types import SimpleNamespace
from models.training import worker
from models.training.watchdog import Watchdog
os.set_blocking(2, False)
try:
    while True:
        os.write(2, b"x" * 512)
except BlockingIOError:  # the pipe is full
    os.set_blocking(2, True)
spec = SimpleNamespace(training=SimpleNamespace(step_timeout_seconds=1))
with Watchdog(1, lambda doing: worker._end(spec, 0, doing)):
    time.sleep(3600)
"""


def test_a_worker_that_takes_too_long_ends_even_if_nobody_reads_what_it_says():
    with subprocess.Popen([sys.executable, "-c", STALLED], stderr=subprocess.PIPE) as process:
        try:
            assert process.wait(timeout=30) == 10
        finally:
            process.kill()


def test_a_worker_sees_the_gpus_that_its_task_was_given():
    worker = WorkerProcess("no spec", gpus=("3", "5"), log=lambda line: None)
    environment = Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")
    assert worker.wait().code == 2
    assert b"CUDA_VISIBLE_DEVICES=3,5" in environment


def test_a_worker_multiplies_float32_as_float32_also_where_a_gpu_would_round_it(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)  # it could not be taken back
    tf.config.experimental.enable_tensor_float_32_execution(True)  # TensorFlow's default
    configure(training_spec(tables, tmp_path).model_copy(update={"threads": None}), on_machine=0)
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


def test_workers_of_one_machine_are_counted_by_themselves_so_that_each_finds_a_gpu_of_its_own(monkeypatch):
    config = {"cluster": {"worker": ["a:1", "b:1", "a:2", "b:7"]}}
    for index, on_machine in enumerate([0, 0, 1, 1]):
        monkeypatch.setenv("TF_CONFIG", json.dumps({**config, "task": {"type": "worker", "index": index}}))
        assert worker_task() == WorkerTask(index, 4, on_machine)
    monkeypatch.delenv("TF_CONFIG")
    assert worker_task() == WorkerTask(0, 1, 0)


@pytest.mark.parametrize("text", ["{", '{"cluster": {}}', '{"cluster": {"worker": ["a:1"]}, "task": {"index": 1}}'])
def test_a_tf_config_that_names_no_worker_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG must"):
        worker_task()
