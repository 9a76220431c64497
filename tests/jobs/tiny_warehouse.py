"""A warehouse of a few users and items with an untrained model: what score_users and evaluate_model start from."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import yaml
from pyspark.sql import DataFrame, SparkSession

from features.tables import all_tables
from jobs.runtime.config import Scenario, load
from models.config import ModelConfig
from models.inputs import FIRST, HISTORY, PADDING, UNKNOWN, ItemContent, Sizes
from models.network.transformer import Recommender
from models.scoring.export import export_model
from models.signals.item_values import ItemValues
from models.signals.transitions import LAST, Transitions
from tests.delta_rows import write_rows

DAY0 = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
MAX_LENGTH, CATEGORIES = 4, 2


@dataclass(frozen=True)
class Tiny:
    """The warehouse and the scenario that points to it."""

    spark: SparkSession
    root: Path
    conf: str

    @property
    def scenario(self) -> Scenario:
        return load(self.conf)

    def path(self, name: str) -> str:
        return str(self.root / "warehouse" / name)

    def table(self, name: str) -> DataFrame:
        return self.spark.read.format("delta").load(self.path(name))

    def version(self, name: str) -> int:
        return deltalake.DeltaTable(self.path(name)).version()

    def write(self, name: str, rows: Sequence[dict[str, Any]], mode: str = "overwrite") -> None:
        write_rows(self.path(name), all_tables(self.scenario.features)[name], rows, mode)


def event(user: str, item: str, day: int, order: int = 0, **other: Any) -> dict[str, Any]:
    time = DAY0 + datetime.timedelta(days=day, hours=10)
    base: dict[str, Any] = {
        "event_id": f"{user}-{item}-{day}-{order}", "user_id": user, "item_id": item, "event_type": "view", "value": None,
        "event_time": time, "tie_order": order, "session_id": None, "context": {}, "date": time.date(),
        "month": f"{time:%Y-%m}",
    }  # fmt: skip
    return base | other


def item(item_id: str, categories: Sequence[str] = ("a",), price: float = 1.0) -> dict[str, Any]:
    return {
        "item_id": item_id, "title": f"Title of {item_id}", "categories": list(categories), "categories_imputed": False,
        "tags": [], "price": price, "price_imputed": False, "year": 2000.0, "year_imputed": False, "text": None, "media": None,
        "attributes": {},
    }  # fmt: skip


def user(user_id: str, segment: str | None = None, age: float | None = None) -> dict[str, Any]:
    return {"user_id": user_id, "segment": segment, "age": age, "age_imputed": False, "attributes": {}}


def history(items: Sequence[int], length: int) -> dict[str, list]:
    """The arrays of models.inputs.HISTORY for a window of item indices."""
    padding = [0] * (length - len(items))
    ones = [1] * len(items) + padding
    return {
        "item_ids": [*items, *padding], "event_types": [2 * x for x in ones], "values": [0.0] * length, "gaps": ones,
        "request_gaps": ones, "request_hours": ones, "request_weekdays": ones, "user_features": [0.0] * length,
        "user_numbers": [0.0, 0.0], "user_labels": [0], "user_label_weights": [0.0],
    }  # fmt: skip


def example(user_id: str, split: str, before: Sequence[int], target: int, length: int) -> dict[str, Any]:
    """The row of `sequences` that judges one target by the events before it."""
    window = list(before)[-MAX_LENGTH:]
    padding, last = [0] * (length - len(window)), [0] * (len(window) - 1)
    return history(window, length) | {
        "example_id": f"{user_id}|{split}|0", "user_id": user_id, "user_index": UNKNOWN, "events": len(window),
        "last_time": DAY0, "target_time": DAY0, "targets": [*window[1:], target, *padding], "weights": [*last, 1, *padding],
        "target_values": [0.0] * length, "target_value_weights": [0.0] * length, "split": split, "length": length,
    }  # fmt: skip


def _scenario(root: Path) -> dict[str, Any]:
    columns = {"user_id": "u", "item_id": "i", "event_time": "t"}
    return {
        "name": "tiny",
        "warehouse": str(root / "warehouse"),
        "source": {
            "events": {"path": "e.csv", "format": "csv", "columns": columns},
            "items": {"path": "i.csv", "columns": {n: n for n in ("item_id", "title", "categories", "price", "year")}},
            "users": {"path": "u.csv", "columns": {"user_id": "u", "segment": "s", "age": "a"}},
        },
        "content": {"user": [{"labels": "segment"}, {"number": "age"}]},
        "sequences": {"max_length": MAX_LENGTH, "min_length": 2, "max_categories": CATEGORIES},
        "features": {"user": [{"count": "events", "days": [7]}], "item": [{"count": "events", "days": [7]}]},
        "scoring": {"top_k": 3},
        "evaluation": {"cutoffs": [1, 2, 5], "report_users": 2, "recent_days": 3},
    }


def make(
    spark: SparkSession,
    root: Path,
    walks: dict[str, Sequence[str]],
    items: Sequence[str],
    users: Sequence[dict[str, Any]],
    scores: Sequence[float | None] = (),
) -> Tiny:
    """The tables that scoring and evaluation read, as the jobs before them would leave them; one event a day.

    Args:
        walks: the items of each user's events, oldest first; one that `items` lacks is unknown to the vocabulary.
        items: the catalogue, in order of index.
        scores: z-scores of the values of each user's events, in turns; None: no value. None at all: values are implicit.
    """
    conf = root / "tiny.yaml"
    conf.write_text(yaml.safe_dump(_scenario(root)), encoding="utf-8")
    tiny = Tiny(spark, root, str(conf))
    values = [None if z is None else 3.5 + 1.5 * z for z in scores or (None,)]
    events = [
        event(u, i, day, value=values[day % len(values)]) for u, walk in walks.items() for day, i in enumerate(walk)
    ]  # fmt: skip
    tiny.write("events", events)
    tiny.write("items", [item(i) for i in items])
    tiny.write("users", users)
    as_of = max(e["date"] for e in events) + datetime.timedelta(days=1)
    days = {(e["user_id"], e["date"]) for e in events} | {(u, as_of) for u in walks}
    features = [{"user_id": u, "date": d, "month": f"{d:%Y-%m}", "events_count_7d": 1} for u, d in sorted(days)]
    tiny.write("user_features", features)
    fitted = {"group": "", "label": None, "fitted_until": DAY0}
    numbers = {("user_features", "events_count_7d"): (0.5, 2.0), ("user_content", "age"): (30.0, 10.0)}
    numbers |= {("sequences", "value"): (3.5, 1.5)} if scores else {}
    rows = [
        fitted | {"owner": owner, "column": column, "statistic": s, "number": n}
        for (owner, column), of in numbers.items()
        for s, n in zip(("log_mean", "log_std") if column == "events_count_7d" else ("mean", "std"), of, strict=True)
    ]
    tiny.write("statistics", rows)
    tiny.write("user_vocabulary", [{"user_id": u, "index": n} for n, u in enumerate(walks, FIRST)])
    labels = [("event_type", "view", 2), ("categories", "a", 2), ("categories", "b", 3)]
    labels += [("user_content", "segment=young", 2), ("user_content", "segment=old", 3)]
    tiny.write("label_vocabulary", [dict(zip(("column", "label", "index"), label, strict=True)) for label in labels])
    write_vocabulary(tiny, items, walks)
    pair = {"item_id": items[-2], "rank": 1, "neighbour_id": items[0], "users": 3, "similarity": 0.75}
    tiny.write("item_neighbours", [pair])
    write_sequences(tiny, items, walks)
    return tiny


def copy(tiny: Tiny, root: Path) -> Tiny:
    """The same warehouse in another folder, exports included."""
    shutil.copytree(tiny.path(""), root / "warehouse")
    conf = root / "tiny.yaml"
    conf.write_text(yaml.safe_dump(_scenario(root)), encoding="utf-8")
    return Tiny(tiny.spark, root, str(conf))


def write_vocabulary(tiny: Tiny, items: Sequence[str], walks: dict[str, Sequence[str]]) -> None:
    """item_vocabulary and item_content; training events are all but the last two of a user who has three or more."""
    train = [i for walk in walks.values() for i in (walk[:-2] if len(walk) > 2 else walk)]
    write_indices(tiny, items)
    rows = [
        {"index": n, "item_id": i, "categories": [n % 3 + 1, 0] if i else [0, 0], "numbers": [n / 10, 1.0, 0.0, 0.0],
         "labels": [], "label_weights": [], "train_events": train.count(i)}
        for n, i in enumerate(["", "", *items])
    ]  # fmt: skip
    tiny.write("item_content", rows)


def write_indices(tiny: Tiny, items: Sequence[str]) -> None:
    """item_vocabulary alone: what build_sequences leaves where it is killed before it writes the content."""
    tiny.write("item_vocabulary", [{"item_id": i, "index": n} for n, i in enumerate(items, FIRST)])


def write_sequences(tiny: Tiny, items: Sequence[str], walks: dict[str, Sequence[str]]) -> None:
    """The valid and test rows of leave_one_out."""
    index, rows = {i: n for n, i in enumerate(items, FIRST)}, []
    for u, walk in walks.items():
        path = [index.get(i, UNKNOWN) for i in walk]
        for split, at in (("valid", len(path) - 2), ("test", len(path) - 1)):
            if len(path) > 2:
                rows.append(example(u, split, path[:at], path[at], 2 if at <= 2 else MAX_LENGTH))
    tiny.write("sequences", rows)


def content_of(tiny: Tiny) -> ItemContent:
    rows = sorted(deltalake.DeltaTable(tiny.path("item_content")).to_pyarrow_table().to_pylist(), key=lambda r: r["index"])
    return ItemContent(
        categories=np.array([r["categories"] for r in rows], np.int32),
        numbers=np.array([r["numbers"] for r in rows], np.float32),
        labels=np.array([r["labels"] for r in rows], np.int32),
        label_weights=np.array([r["label_weights"] for r in rows], np.float32),
        train_events=np.array([r["train_events"] for r in rows], np.int64),
    )


def with_model(tiny: Tiny, model_id: str = "m1", seed: int = 7, **card: Any) -> Recommender:
    """Exports an untrained model with a card and adds its row to `models`; returns it, to compare with."""
    content = content_of(tiny)
    sizes = Sizes(
        items=len(content.train_events), categories=4, event_types=3, user_features=1, item_numbers=4,
        item_categories=CATEGORIES, max_length=MAX_LENGTH, user_numbers=2, user_labels=4, user_label_slots=1,
    )  # fmt: skip
    model = Recommender(ModelConfig(dim=8, dropout=0.0), sizes, seed=seed)
    folder = Path(tiny.path("_models"), model_id)
    folder.parent.mkdir(exist_ok=True)
    names = {
        "user_features": ["events_count_7d"], "user_numbers": ["age_z_score", "age_known"], "user_labels": ["segment"],
        "item_numbers": ["price_log", "price_known", "year_z_score", "year_known"], "item_labels": [],
    }  # fmt: skip
    sample = {name: np.array([values]) for name, values in history([2, 3], MAX_LENGTH).items()}
    card = {"model_id": model_id, "names": names, **card}
    export_model(model, content, transitions_of(sizes.items), values_of(sizes.items), folder, sample, card)
    row = {
        "model_id": model_id, "created_at": DAY0 + datetime.timedelta(days=seed),
        "config": json.dumps(tiny.scenario.dump("sequences")), "config_hash": "0",
        "code_version": "0", "inputs": {n: tiny.version(n) for n in ("item_content", "statistics", "sequences")},
        "packages": {"numpy": np.__version__}, "seed": seed, "steps": 0, "rows": 0, "metrics": {}, "sizes": asdict(sizes),
        "export_path": str(folder),
    }  # fmt: skip
    tiny.write("models", [row], mode="append")
    return model


def transitions_of(items: int) -> Transitions:
    """After each item came the one two places on, round a circle, with a share of 1/2, and itself with one of 1/4."""
    index = np.arange(items)
    following = np.stack([FIRST + index % (items - FIRST), index], axis=1).astype(np.int32)
    shares = np.where(index[:, None] < FIRST, 0.0, [0.5, 0.25]).astype(np.float32)
    return Transitions(np.where(shares, following, PADDING).astype(np.int32), shares, weight=0.5)


def values_of(items: int) -> ItemValues:
    """Items get values like those of the two before them."""
    index = np.arange(items)
    neighbours = np.stack([index - 1, index - 2], axis=1)
    similarities = np.where(neighbours < FIRST, 0.0, [0.5, 0.25]).astype(np.float32)
    neighbours = np.where(similarities, neighbours, PADDING).astype(np.int32)
    return ItemValues((index % 3 / 4).astype(np.float32), neighbours, similarities, (0.75, 0.5, 1.5, 0.125))


def bonus_of(last: Sequence[int], items: int) -> np.ndarray:
    """What these transitions add to the score of each item, by the definition; `last` has the newest at the end."""
    chances, says = np.zeros(items), [0.3**n for n in range(LAST)]
    for item, says_so in zip(reversed(last), says, strict=False):
        if item < FIRST:
            continue
        for following, share in ((FIRST + item % (items - FIRST), 0.5), (item, 0.25)):
            chances[following] += says_so / sum(says) * share
    return 0.5 * np.log(1 + chances * (items - FIRST) / 4)


def states_of(model: Recommender, tiny: Tiny, rows: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The model's own states and item vectors, by TensorFlow."""
    vectors = model.item_vectors(content_of(tiny)).numpy()
    tensors: dict[str, Any] = {i.name: np.asarray(rows[i.name], i.dtype) for i in HISTORY}
    return model.states(tensors, vectors).numpy(), vectors
