#!/usr/bin/env python3
"""Kills training workers with SIGKILL, resumes, and compares with an undisturbed run.

    scripts/bench_faults.py [--kills 3]

Makes a small log, cleans it and builds its sequences, trains once undisturbed on two workers, and once with a worker killed
in every attempt but the last. Prints one JSON line a figure: how long the job took to end after a kill (and with which code),
and how many weights differ in the end.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from figures import figure

from models.scoring.export import weights_of

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("model.dim=16", "sequences.max_length=16", "training.batch_size=32", "training.warmup_steps=5", "training.patience=99")
MOST_SECONDS = 2.0  # of training before a kill; an epoch takes about one
EXIT_TRANSIENT = 10


def job(name: str, folder: Path, epochs: int) -> subprocess.Popen[str]:
    run = (f"training.epochs={epochs}", "training.checkpoint_steps=10", "training.workers=2")
    sets = [option for s in (*SMALL, *run) for option in ("--set", s)]
    command = [sys.executable, "-m", f"jobs.{name}", "--config", str(ROOT / "conf" / "sample.yaml"), *sets]
    environment = {
        **os.environ,
        "LAKEFORMER_SAMPLE": str(folder / "raw"),
        "LAKEFORMER_WAREHOUSE": str(folder / "warehouse"),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def finish(name: str, folder: Path, epochs: int) -> None:
    process = job(name, folder, epochs)
    _, log = process.communicate()
    if process.returncode:
        sys.exit(f"{name} ended with {process.returncode}:\n{log[-3000:]}")


def workers(folder: Path) -> list[int]:
    """Process ids of the training workers of this warehouse."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().decode().split("\0") if entry.name.isdigit() else []
        except OSError:  # it has just ended
            continue
        if "models.training.worker" in command and any(part.startswith(str(folder)) for part in command):
            found.append(int(entry.name))
    return sorted(found)


def kill_one(folder: Path, epochs: int) -> tuple[float, int]:
    """Trains, kills a worker at some step; returns the seconds until the job's end, and its exit code."""
    process = job("train_model", folder, epochs)
    assert process.stderr is not None
    killed = 0.0
    for line in process.stderr:
        if any(f'"step": "{begun}"' in line for begun in ("begin", "resume")) and not killed:
            time.sleep(random.uniform(0, MOST_SECONDS))
            os.kill(random.choice(workers(folder)), signal.SIGKILL)
            killed = time.monotonic()
    code = process.wait()
    return time.monotonic() - killed, code


def weights(folder: Path) -> Counter[tuple[tuple[int, ...], bytes]]:
    (encoder,) = (folder / "warehouse" / "_models").glob("*/encoder.onnx")
    return weights_of(encoder.parent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random.seed(given.seed)
    epochs = 8 + 2 * given.kills  # more than the kills leave time for
    with tempfile.TemporaryDirectory() as temporary:
        # The same path for both runs: the warehouse is moved away in between.
        folder, undisturbed = Path(temporary, "run"), Path(temporary, "undisturbed")
        make = [sys.executable, str(ROOT / "scripts" / "make_sample_data.py"), "--out", str(folder / "raw")]
        subprocess.run([*make, "--users", "300", "--items", "150", "--days", "60"], check=True, stdout=subprocess.DEVNULL)
        for name in ("clean_events", "build_features", "build_sequences"):
            finish(name, folder, epochs)
        shutil.copytree(folder, undisturbed)
        shutil.move(folder, f"{folder}-disturbed")
        shutil.move(undisturbed, folder)
        finish("train_model", folder, epochs)
        expected = weights(folder)
        shutil.rmtree(folder)
        shutil.move(f"{folder}-disturbed", folder)
        for _ in range(given.kills):
            seconds, code = kill_one(folder, epochs)
            figure("seconds from the SIGKILL of a worker to the end of the job", seconds, "s", 10)
            figure("exit code of that job", code, "code", EXIT_TRANSIENT)
        finish("train_model", folder, epochs)
        resumed = weights(folder)
        different = (expected - resumed).total()
        figure(f"weights that differ after {given.kills} kills, of {expected.total()}", different, "tensors", 0)


if __name__ == "__main__":
    main()
