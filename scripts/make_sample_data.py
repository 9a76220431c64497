"""Writes a made-up bookshop: books, readers, an event log with known dirt, and the truth about the dirt.

    python scripts/make_sample_data.py --out out/sample/raw [--users 600] [--items 400] [--days 90] [--seed 7]

Order carries information: readers go on to the next volume of a series, then often to the series that its readers move on
to, and drift from genre to genre. truth.json counts what a cleaning job must find, kind by kind, under the job's own names;
every dirty row is dirty in exactly one way. The same arguments write the same bytes. Standard library and numpy only.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import gzip
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from sample_shop import START, make_events, make_shop, text_time

BOT_CLICKS = 300  # a click every 288 seconds, all day
EVENT_FIELDS = ["time", "reader", "book", "action", "rating", "visit", "device"]
BOOK_FIELDS = ["book", "title", "categories", "price", "year", "text"]
READER_FIELDS = ["reader", "country", "age", "gender"]
TIME, READER, BOOK, ACTION, RATING, VISIT, DEVICE = range(len(EVENT_FIELDS))
NOT_UTF8 = "t\udce9l\udce9phone"  # two bytes of latin-1 once written with surrogateescape

Row = list[str]
Entry = tuple[str, Row]  # time that decides the file and the place in it; row

# reason -> what makes a row of the log break that rule, and no other
REFUSED_EVENTS: dict[str, Callable[[Row], Row]] = {
    "user_id_missing": lambda row: _with(row, READER, ""),
    "item_id_missing": lambda row: _with(row, BOOK, ""),
    "event_time_missing": lambda row: _with(row, TIME, ""),
    "event_time_malformed": lambda row: _with(row, TIME, row[TIME].replace("2024-", "2024-1")),
    "event_time_future": lambda row: _with(row, TIME, row[TIME].replace("2024-", "2924-")),
    "event_time_early": lambda row: _with(row, TIME, row[TIME].replace("2024-", "1972-")),
    "event_type_unknown": lambda row: _with(row, ACTION, "veiw"),
    "user_id_unknown": lambda row: _with(row, READER, row[READER].replace("r", "guest")),
    "item_id_unknown": lambda row: _with(row, BOOK, row[BOOK].replace("b", "old")),
    "value_malformed": lambda row: _with(row, RATING, "four"),
    "value_out_of_range": lambda row: _with(row, RATING, "50"),
    "encoding_broken": lambda row: _with(row, DEVICE, NOT_UTF8),
}


@dataclass
class Truth:
    """What a cleaning job must find, under the names that it counts by."""

    seed: int
    rows_in: dict[str, int] = field(default_factory=dict)
    rows_out: dict[str, int] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    refused: dict[str, dict[str, int]] = field(default_factory=lambda: {"events": {}, "items": {}, "users": {}})
    imputed: dict[str, dict[str, int]] = field(default_factory=dict)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write to; files of the same names are replaced")
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args(argv)
    if given.users < 20 or given.items < 40 or given.days < 7:
        parser.error("--users must be 20 or more, --items 40 or more, --days 7 or more.")
    truth = write_sample(given.out, given.users, given.items, given.days, given.seed)
    print(json.dumps(truth.rows_in | {"out": str(given.out)}))
    return 0


def write_sample(out: Path, users: int, items: int, days: int, seed: int) -> Truth:
    rng, truth = np.random.default_rng(seed), Truth(seed)
    shop = make_shop(rng, users, items)
    clean = make_events(rng, shop, days)
    events = _dirty_events(rng, clean, f"r{users - 1}", items, days, truth)
    books = _dirty_entities(rng, shop.books, "items", truth, blanks={"categories": (2, 0.04), "price": (3, 0.06)}, number=3)
    readers = _dirty_entities(rng, shop.readers, "users", truth, blanks={"age": (2, 0.06)}, number=2)
    truth.rows_in["events"], truth.rows_out["events"] = len(events), len(clean)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "books.csv", BOOK_FIELDS, books)
    _write(out / "readers.csv", READER_FIELDS, readers)
    _write_weeks(out / "events", events, days)
    (out / "truth.json").write_text(json.dumps(asdict(truth), indent=2) + "\n", encoding="utf-8")
    return truth


# Dirt


def _with(row: Row, column: int, text: str) -> Row:
    return [*row[:column], text, *row[column + 1 :]]


def _dirty_events(rng: np.random.Generator, clean: list[Row], bot: str, items: int, days: int, truth: Truth) -> list[Entry]:
    """The log in its order; each dirty row is made of a clean row of its own, and stands behind it."""
    many, few = max(5, len(clean) // 200), max(3, len(clean) // 800)
    mixed = [clean[i] for i in rng.permutation(len(clean))]
    rated, others = ([r for r in mixed if (r[ACTION] == "rate") == wanted] for wanted in (True, False))
    log = [(row[TIME], row) for row in clean]

    def add(rows: int, pool: list[Row], dirty: Callable[[Row], Row], days_late: int = 0) -> int:
        bases = [pool.pop() for _ in range(rows)]
        log.extend((_later(row[TIME], days_late * 86400), dirty(row)) for row in bases)
        return rows

    truth.duplicates["exact"] = add(many, others, list) + add(many // 2, others, list, days_late=7)
    truth.duplicates["conflicting"] = add(
        many // 2, rated, lambda row: _with(row, RATING, "0.5" if row[RATING] != "0.5" else "5.0")
    )
    truth.duplicates["near"] = add(many, others, lambda row: _with(row, TIME, _later(row[TIME], int(rng.integers(1, 3)))))
    for reason, dirty in REFUSED_EVENTS.items():
        truth.refused["events"][reason] = add(few, rated if reason.startswith("value") else others, dirty)
    broken = add(few, others, lambda row: row[:4]) + add(few, others, lambda row: [*row, "", "?"])
    truth.refused["events"]["line_broken"] = broken
    truth.refused["events"]["bot"] = BOT_CLICKS
    log.extend((row[TIME], row) for row in _bot_clicks(rng, bot, items, days // 2))
    return sorted(log, key=lambda entry: entry[0])


def _later(time: str, seconds: int) -> str:
    return (datetime.datetime.fromisoformat(time) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")


def _bot_clicks(rng: np.random.Generator, bot: str, items: int, day: int) -> list[Row]:
    times = (text_time(day * 86400 + click * 86400 // BOT_CLICKS) for click in range(BOT_CLICKS))
    return [[time, bot, f"b{rng.integers(items)}", "view", "", f"v-{bot}", "web"] for time in times]


def _dirty_entities(
    rng: np.random.Generator, clean: list[Row], table: str, truth: Truth, blanks: dict[str, tuple[int, float]], number: int
) -> list[Row]:
    """Books or readers with blank fields, and among them rows that must be refused. Broken rows have ids of their own.

    Args:
        blanks: column name -> its place and the share of rows that lose it.
        number: place of a column that must be a number.
    """
    rows, few, key = [list(row) for row in clean], max(2, len(clean) // 100), "item_id" if table == "items" else "user_id"
    truth.imputed[table] = {}
    for name, (column, share) in blanks.items():
        lost = rng.choice(len(rows), size=max(1, int(share * len(rows))), replace=False)
        for i in lost:
            rows[i][column] = ""
        truth.imputed[table][name] = len(lost)
    bases = [rows[i] for i in rng.permutation(len(rows))[: 7 * few]]
    strangers = [_with(row, 0, f"{row[0]}x") for row in bases]
    dirty = {
        f"{key}_duplicate": bases[:few] + [_with(row, len(row) - 1, "another") for row in bases[few : 2 * few]],
        f"{key}_missing": [_with(row, 0, "") for row in bases[2 * few : 3 * few]],
        "line_broken": [row[:2] for row in strangers[3 * few : 4 * few]]
        + [[*row, "?"] for row in strangers[4 * few : 5 * few]],
        f"{'price' if table == 'items' else 'age'}_malformed": [
            _with(row, number, "n/a") for row in strangers[5 * few : 6 * few]
        ],
        "encoding_broken": [_with(row, 1, NOT_UTF8) for row in strangers[6 * few :]],
    }
    truth.refused[table] = {reason: len(some) for reason, some in dirty.items()}
    for row in (row for some in dirty.values() for row in some):
        rows.insert(int(rng.integers(len(rows) + 1)), row)
    truth.rows_in[table], truth.rows_out[table] = len(rows), len(clean)
    return rows


# Files


def _write_weeks(folder: Path, log: list[Entry], days: int) -> None:
    """One file a week, every second one compressed; what comes late after the last week stands in the last file."""
    folder.mkdir(exist_ok=True)
    weeks = -(-days // 7)
    files: list[list[Row]] = [[] for _ in range(weeks)]
    for time, row in log:
        files[min(weeks - 1, (datetime.datetime.fromisoformat(time) - START).days // 7)].append(row)
    for week, rows in enumerate(files):
        day = (START + datetime.timedelta(weeks=week)).strftime("%Y-%m-%d")
        _write(folder / f"events-{day}.csv{'.gz' if week % 2 else ''}", EVENT_FIELDS, rows)


def _write(path: Path, header: Row, rows: list[Row]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    content = text.getvalue().encode("utf-8", "surrogateescape")
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


if __name__ == "__main__":
    sys.exit(main())
