from __future__ import annotations

import csv
import gzip
import json
import math
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_sample_data.py"


def make(out: Path, *more: str) -> Path:
    subprocess.run([sys.executable, str(SCRIPT), "--out", str(out), *more], check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("sample"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def rows(sample: Path) -> list[list[str]]:
    found = []
    for path in sorted((sample / "events").iterdir()):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found += list(csv.reader(data.decode("utf-8", "replace").splitlines()))[1:]
    return found


def test_the_same_arguments_write_the_same_bytes_and_another_seed_others(tmp_path):
    small = ("--users", "30", "--items", "60", "--days", "14")
    first = contents(make(tmp_path / "a", *small))
    assert first == contents(make(tmp_path / "b", *small))
    assert first != contents(make(tmp_path / "c", *small, "--seed", "8"))


def test_the_truth_adds_up_and_counts_the_lines_of_the_files(sample):
    truth = json.loads((sample / "truth.json").read_text())
    refused = sum(truth["refused"]["events"].values())
    assert truth["rows_in"]["events"] == truth["rows_out"]["events"] + sum(truth["duplicates"].values()) + refused
    assert truth["rows_in"]["events"] == len(rows(sample))
    assert 40_000 <= truth["rows_out"]["events"] <= 60_000
    for table, file in (("items", "books.csv"), ("users", "readers.csv")):
        assert truth["rows_in"][table] == len((sample / file).read_bytes().splitlines()) - 1
        assert truth["rows_in"][table] == truth["rows_out"][table] + sum(truth["refused"][table].values())


def test_dirt_is_what_the_truth_says(sample):
    truth, events = json.loads((sample / "truth.json").read_text()), rows(sample)
    refused = truth["refused"]["events"]
    whole = [r for r in events if len(r) == 7]
    assert len(events) - len(whole) == refused["line_broken"]
    for column, reason in ((1, "user_id_missing"), (2, "item_id_missing"), (0, "event_time_missing")):
        assert sum(r[column] == "" for r in whole) == refused[reason]
    assert sum("\ufffd" in "".join(r) for r in whole) == refused["encoding_broken"]
    assert sum(r[4] == "50" for r in whole) == refused["value_out_of_range"]
    assert sum(n - 1 for n in Counter(map(tuple, whole)).values()) == truth["duplicates"]["exact"]
    assert max(Counter((r[1], r[0][:10]) for r in whole).values()) == refused["bot"]


def histories(sample: Path) -> dict[str, list[str]]:
    """Each reader's books in order, without dirt."""
    events: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in rows(sample):
        if (
            len(row) == 7
            and row[0].startswith("2024-")
            and len(row[0]) == 19
            and row[1].startswith("r")
            and row[2].startswith("b")
        ):
            events[row[1]].add((row[0], row[2]))
    return {u: [book for _, book in sorted(e)] for u, e in events.items() if len(e) < 300}


def ndcg_at_10(sequences: dict[str, list[str]], score: Callable[[list[str], str], float]) -> float:
    """Leave one out: the last book ranked among all that the reader has not read."""
    books = {book for sequence in sequences.values() for book in sequence}
    gains = []
    for sequence in sequences.values():
        history, target = sequence[:-1], sequence[-1]
        better = sum(score(history, b) >= score(history, target) for b in books.difference(history, [target]))
        gains.append(1 / math.log2(better + 2) if better < 10 and target not in history else 0)
    return sum(gains) / len(gains)


def test_order_says_far_more_than_popularity(sample):
    sequences = histories(sample)
    popular = Counter(book for s in sequences.values() for book in s[:-2])
    follows = Counter(pair for s in sequences.values() for pair in pairwise(s[:-2]))
    popularity = ndcg_at_10(sequences, lambda _, book: popular[book])
    markov = ndcg_at_10(sequences, lambda history, book: follows[history[-1], book] + popular[book] / 1e6)
    assert 0.02 < popularity < 0.08
    assert markov > 0.2
    assert markov > 4 * popularity


def test_a_shop_that_is_too_small_is_refused_with_a_sentence(tmp_path):
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(tmp_path), "--users", "3"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "--users must be 20 or more" in ended.stderr
