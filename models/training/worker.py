"""One training worker: `python -m models.training.worker SPEC.json`, alone or as one of several that TF_CONFIG names.

Exit codes: 0 trained, 1 a defect, 2 usage, or a training that diverges, 3 tables or checkpoint refused, 10 a worker died or
stalled, worth a retry, 130 interrupted by hand.
The result is one JSON line on stdout, from the chief; log lines are JSON on stderr.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from models.errors import INTERRUPTED, WorkerError
from models.training.launch import PEER_LOST
from models.training.spec import TrainSpec
from models.training.watchdog import Watchdog, end_with_parent

if TYPE_CHECKING:  # it imports TensorFlow, before which the environment must be set
    from models.training.cluster import WorkerTask

LAST_WORDS_SECONDS = 5.0  # in which a worker that is ended must have said why


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.training.worker", description="One training worker.")
    parser.add_argument("spec", help="JSON file of the run, as train_model writes it")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    parser.add_argument("--port-fd", type=int, help="descriptor of a socket that holds this worker's port until it is needed")
    given = parser.parse_args(argv)
    if given.with_parent:
        end_with_parent()
    try:
        spec = TrainSpec.model_validate_json(Path(given.spec).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        return _failed(f"{given.spec}: must be a training spec. {error}", 2)
    return run(spec, given.port_fd)


def run(spec: TrainSpec, port_fd: int | None = None) -> int:
    """Trains, and returns the exit code."""
    _set_environment(spec)
    import tensorflow as tf  # noqa: PLC0415  # the environment must be set before

    from models.training.cluster import Cluster, worker_task  # noqa: PLC0415
    from models.training.train import train  # noqa: PLC0415

    try:
        task = worker_task()
    except ValueError as error:
        return _failed(str(error), 2)
    configure(spec, task.on_machine)
    with Watchdog(spec.training.step_timeout_seconds, lambda doing: _end(spec, task.index, doing)) as watchdog:
        try:
            if port_fd is not None:
                os.close(port_fd)
            with _progress(task.index) as progress:
                trained = train(spec, Cluster(spec.training.step_timeout_seconds), watchdog, _logger(task.index), progress)
        except tf.errors.OpError as error:
            return _operation_failed(error, task)
        except Exception as error:
            traceback.print_exc()
            return _failed(f"worker {task.index} of {task.workers}: {error}", getattr(error, "exit_code", 1))
    if task.index == 0:
        sys.stdout.write(json.dumps(dataclasses.asdict(trained)) + "\n")
        sys.stdout.flush()
    return 0


def _set_environment(spec: TrainSpec) -> None:
    if not spec.training.gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # TensorFlow itself turns them on for some processors only
    warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm")  # it calls parts of pyarrow that will go


def configure(spec: TrainSpec, on_machine: int) -> None:
    """Sets up TensorFlow, which must not have done anything yet: this worker's GPU, its threads, its seed."""
    import tensorflow as tf  # noqa: PLC0415

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        own = gpus[on_machine % len(gpus)]
        tf.config.set_visible_devices(own, "GPU")  # more than one would count its gradients twice
        tf.config.experimental.set_memory_growth(own, True)  # others may run on it
    if spec.threads:
        tf.config.threading.set_intra_op_parallelism_threads(spec.threads)
        tf.config.threading.set_inter_op_parallelism_threads(spec.threads)  # by default as many as the machine has cores
    tf.config.experimental.enable_tensor_float_32_execution(False)  # GPUs would round factors of float32 to ten bits
    tf.keras.utils.set_random_seed(spec.training.seed)
    tf.config.experimental.enable_op_determinism()


def _operation_failed(error: Exception, task: WorkerTask) -> int:
    """What a collective raises when a peer is gone is worth a retry; anything else is a defect."""
    import tensorflow as tf  # noqa: PLC0415

    kind, gone = type(error).__name__, (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
    if task.workers > 1 and isinstance(error, (*gone, tf.errors.DeadlineExceededError)):
        message = f"worker {task.index} of {task.workers}: another worker is gone ({kind})."
        return _failed(message, WorkerError.exit_code, **{PEER_LOST: True})
    traceback.print_exception(error)
    return _failed(f"worker {task.index} of {task.workers}: {kind}: {' '.join(str(error).split())[:500]}", 1)


def _end(spec: TrainSpec, index: int, doing: str) -> None:
    """Ends the process: the main thread hangs in a collective and cannot be asked. Nobody may be left to read why, and then
    writing it would wait for ever or fail."""
    seconds, code = spec.training.step_timeout_seconds, WorkerError.exit_code
    last = threading.Timer(LAST_WORDS_SECONDS, os._exit, [code])
    last.daemon = True
    last.start()
    try:
        _failed(f"worker {index}: {doing} must end within step_timeout_seconds={seconds}. It has not.", code)
    finally:
        os._exit(code)


def _write(**fields: object) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    sys.stderr.write(json.dumps({"time": now, **fields}) + "\n")
    sys.stderr.flush()


def _failed(message: str, code: int, **fields: object) -> int:
    _write(step="error", error=message, exit_code=code, **fields)
    return code


def _logger(index: int) -> Callable[..., None]:
    """Only the chief logs: the lines of all workers would be the same."""

    def log(step: str, **fields: object) -> None:
        if index == 0:
            _write(step=step, **fields)

    return log


@contextmanager
def _progress(index: int) -> Iterator[Callable[[int, int], None]]:
    """A bar on the chief's terminal; nothing where stderr is no terminal."""
    if index or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    columns = ("steps", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("train")
        yield lambda done, total: bar.update(task, completed=done, total=total)


if __name__ == "__main__":
    try:
        exit_code = main()
    except KeyboardInterrupt:
        exit_code = _failed("interrupted. The same command goes on from the last checkpoint.", INTERRUPTED)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)  # TensorFlow's way out waits for peers, which may be gone
