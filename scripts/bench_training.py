#!/usr/bin/env python3
"""Speed of training beside PyTorch and RePlay, of two workers beside one, and of the stream beside pyarrow.

    scripts/bench_training.py CONF [--torch PYTHON] [--replay PYTHON] [--only steps workers stream] [--epochs N]

CONF is a scenario whose sequences are built where they are not there yet. Training is `train_model` as users run it, and its
log tells the figures: real target positions per second, so padding does not count. PYTHON is an interpreter that has torch
and numpy, or RePlay with all it needs; with it a SASRec of the same size trains on the same examples (bench_training_torch.py,
bench_training_replay.py). Prints one JSON line a figure: name, value, unit, peer, peer_value, ratio, goal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import numpy as np
import pyarrow.parquet as pq
from deltalake import DeltaTable
from figures import figure

from jobs.runtime.config import Scenario, load
from models.inputs import HISTORY, TARGETS, Sizes
from models.stream.batches import lane_batches
from models.stream.columns import matrix
from models.stream.delta_log import TableFile, training_files
from models.stream.file_plan import plan_epoch

ROOT = Path(__file__).resolve().parent.parent
# By name: the option that has its interpreter, who it is, and the ratio to reach.
PEERS = {
    "torch": ("torch", "torch SASRec", 3.0),
    "torch_fused": ("torch", "torch SASRec, fused attention without dropout", 3.0),
    "replay": ("replay", "RePlay SasRec", 5.0),
}
BEFORE = ("clean_events", "build_features", "profile_features", "build_sequences")
PARTS = ("steps", "workers", "stream")
BLOCKS = {"model.encoder_layers": 1, "model.decoder_layers": 1}  # two blocks, as the peer has
# Without what SASRec has not, but for the request's own attention and what is read of items and users.
PLAIN = (
    *("model.convolution=1", "model.relative_positions=false", "model.positions=learned", "model.gates=false"),
    *("model.activation=relu", "model.transitions=false", "model.item_values=false", "training.loss.value=0"),
)
COLUMNS = [i.name for i in (*HISTORY, *TARGETS)]


def run_job(name: str, config: str, sets: Sequence[str], cores: Sequence[int]) -> list[dict]:
    """The JSON lines that a job logs, run as a user runs it on these cores."""
    command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), "--config", config]
    command += [word for option in sets for word in ("--set", option)]
    arguments = f"--master local[{len(cores)}] --driver-memory 4g pyspark-shell"
    environment = {**os.environ, "PYSPARK_SUBMIT_ARGS": arguments, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=environment, stderr=subprocess.PIPE, text=True, check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stderr.splitlines() if line.startswith('{"')]


def trained(config: str, sets: Sequence[str], epochs: int, workers: int, lanes: int, cores: Sequence[int]) -> dict[str, float]:
    """The line of the last epoch of a training run that begins anew."""
    training = {"epochs": epochs, "workers": workers, "lanes": lanes, "seed": time.time_ns() % 2**32}
    run = {**BLOCKS, **{f"training.{key}": value for key, value in training.items()}}
    lines = run_job("train_model", config, [*sets, *[f"{key}={value}" for key, value in run.items()]], cores)
    return [line for line in lines if line.get("step") == "epoch"][-1]


def steps(config: str, sets: Sequence[str], files: Sequence[TableFile], epochs: int, interpreters: Mapping[str, str]) -> None:
    """Args:
    interpreters: by option, those that are there.
    """
    cores = sorted(os.sched_getaffinity(0))
    last = trained(config, sets, epochs, 1, 1, cores)
    plain = trained(config, [*sets, *PLAIN], epochs, 1, 1, cores)
    positions, seconds = last["positions_per_second"] * last["seconds"], last["seconds"]
    ours = {
        "in steps": last["positions_per_second"],
        "in epochs, validation of ours included": positions / (seconds + last["validation_seconds"]),
        "in steps, without what SASRec has not": plain["positions_per_second"],
    }
    with tempfile.TemporaryDirectory() as folder:
        if interpreters:
            prepare(Path(folder), files, load(config, sets), len(cores), epochs)
        there = {name: option for name, (option, _, _) in PEERS.items() if option in interpreters}
        theirs = {name: positions / min(in_peer(name, Path(folder), interpreters[o])) for name, o in there.items()}
    for name, rate in ours.items():
        if not theirs:
            figure(f"target positions a second {name}", rate, "1/s", 0)
        for name_of_peer, peer in theirs.items():
            _, who, goal = PEERS[name_of_peer]
            figure(f"target positions a second {name}", rate, "1/s", goal, who, peer, rate / peer)
    figure("share of the time that training waits for data", last["share_waiting_for_data"], "share", 0.02)


def prepare(folder: Path, files: Sequence[TableFile], scenario: Scenario, threads: int, epochs: int) -> None:
    """Writes to `folder` the examples, padded to the longest length, and the settings that peers train with."""
    length, arrays = scenario.sequences.max_length, []
    for file in files:
        rows = read(file, ["item_ids", "targets", "weights"])
        arrays.append([np.pad(a, ((0, 0), (0, length - a.shape[1]))) for a in rows])
    items, targets, weights = (np.concatenate(column) for column in zip(*arrays, strict=True))
    np.savez(folder / "examples.npz", items=items.astype("l"), targets=targets.astype("l"), valid=weights > 0)
    model, size = scenario.model, int(max(items.max(), targets.max())) + 1
    given = {
        "dim": model.dim, "heads": model.heads, "blocks": 2, "dropout": model.dropout, "items": size, "threads": threads,
        "batch_size": scenario.training.batch_size, "epochs": epochs, "device": "cuda" if scenario.training.gpu else "cpu",
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(given))


def in_peer(name: str, folder: Path, python: str) -> list[float]:
    """Seconds of each epoch of the peer on what was prepared."""
    settings = folder / "settings.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "fused": name == "torch_fused"}))
    script = ROOT / "scripts" / f"bench_training_{PEERS[name][0]}.py"
    command = [python, str(script), str(folder / "examples.npz"), str(folder / "settings.json")]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def workers(config: str, sets: Sequence[str], epochs: int) -> None:
    """Two workers with a thread each beside one worker with one."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    two, one = (trained(config, sets, epochs, n, 2, cores[:n])["positions_per_second"] for n in (2, 1))
    figure("target positions a second of two workers with one thread each", two, "1/s", 1.8, "one such worker", one, two / one)


def stream(files: Sequence[TableFile], sizes: Sizes) -> None:
    """Every row of the training split, through the stream and through pyarrow in turns, the best of nine: it takes tenths of a
    second."""
    plan = plan_epoch(files, seed=0, epoch=0, lanes=1, batch_size=128)

    def ours() -> None:
        with closing(lane_batches(plan, [0], sizes)) as batches:
            for _ in batches:
                pass

    def theirs() -> None:
        for file in files:
            read(file, COLUMNS)

    seconds = [(timed(ours), timed(theirs)) for _ in range(9)]
    rate, peer = (plan.rows / min(of) for of in zip(*seconds, strict=True))
    figure("rows a second of the stream", rate, "1/s", 0.9, "pyarrow", peer, rate / peer)


def timed(work) -> float:  # type: ignore[no-untyped-def]
    start = time.monotonic()
    work()
    return time.monotonic() - start


def read(file: TableFile, columns: list[str]) -> list[np.ndarray]:
    """Columns of one file, each (rows, entries)."""
    filesystem, name = fsspec.core.url_to_fs(file.uri)
    with filesystem.open(name) as opened:
        table = pq.ParquetFile(opened).read(columns=columns)
    return [matrix(table[column].combine_chunks()) for column in columns]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets")
    parser.add_argument("--torch", metavar="PYTHON", help="interpreter that has torch; without it that peer does not run")
    parser.add_argument("--replay", metavar="PYTHON", help="interpreter that has replay-rec 0.22, torch, lightning, pyarrow")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--epochs", type=int, default=2, help="of which the last is measured")
    given = parser.parse_args()
    path = f"{load(given.config, given.sets).warehouse}/sequences"
    for job in () if DeltaTable.is_deltatable(path) else BEFORE:
        run_job(job, given.config, given.sets, sorted(os.sched_getaffinity(0)))
    files = training_files(path, DeltaTable(path).version())
    if "steps" in given.only:
        interpreters = {option: python for option, _, _ in PEERS.values() if (python := getattr(given, option))}
        steps(given.config, given.sets, files, given.epochs, interpreters)
    if "workers" in given.only:
        workers(given.config, given.sets, given.epochs)
    if "stream" in given.only:
        widths = dict(zip(COLUMNS, (rows.shape[1] for rows in read(files[0], COLUMNS)), strict=True))
        features, numbers, labels = widths["user_features"] // widths["item_ids"], widths["user_numbers"], widths["user_labels"]
        any_index = np.iinfo(np.int32).max  # the stream is timed, not the vocabularies it reads by
        sizes = Sizes(
            items=any_index, categories=any_index, event_types=any_index, user_features=features, item_numbers=0,
            item_categories=0, max_length=0, user_numbers=numbers, user_labels=any_index, user_label_slots=labels,
        )  # fmt: skip
        stream(files, sizes)


if __name__ == "__main__":
    main()
