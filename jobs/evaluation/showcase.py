"""A few users of the report: what they did, what they did next, and what they would have been shown. Titles, not ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.runtime.run import Run
from jobs.runtime.trained import Catalogue, Trained
from models.evaluation import Requests, popularity
from models.inputs import FIRST
from models.ranking import top_k
from models.scoring.scorer import Scorer
from models.signals.transitions import last_items
from models.stream.columns import histories, matrix, ragged

SHOWN = 5  # items of each list


@dataclass(frozen=True)
class Example:
    """One request of one user; `last` has the newest at the end. Each list holds titles."""

    user_id: str
    last: Sequence[str]
    truth: Sequence[str]  # the one item that came next
    ours: Sequence[str]
    theirs: Sequence[str]


def examples_of(run: Run, trained: Trained, listed: Catalogue, examples: DataFrame) -> list[Example]:
    """The newest request of `evaluation.report_users` users, the same in every run: those whose ids hash lowest."""
    has_test = not examples.where("split = 'test'").isEmpty()
    counting = F.exists("weights", lambda weight: weight > 0) & (F.col("split") == ("test" if has_test else "valid"))
    newest = F.row_number().over(Window.partitionBy("user_id").orderBy(F.desc("target_time"), "example_id"))
    rows = examples.where(counting).withColumn("newest", newest).where("newest = 1").orderBy(F.xxhash64("user_id"), "user_id")
    table = rows.limit(run.config.evaluation.report_users).toArrow()
    scorer = Scorer(trained.exported, listed.vectors)
    found = [
        _indices(row, scorer, listed) for n in range(len(table)) for row in table.slice(n, 1).combine_chunks().to_batches()
    ]
    titles = _titles(run, listed, (i for _, *lists in found for indices in lists for i in indices))
    return [Example(user_id, *([titles[i] for i in indices] for indices in lists)) for user_id, *lists in found]


def _indices(row: pa.RecordBatch, scorer: Scorer, listed: Catalogue) -> tuple[str, list[int], list[int], list[int], list[int]]:
    """User, and item indices of an Example's lists, from one row."""
    place = int(np.flatnonzero(matrix(row["weights"])[0] > 0)[-1])
    _, states = next(scorer.states(histories(row), row["events"].to_numpy()))
    at = ragged(row["target_at"])[0]
    seen = ragged(row["history"])[0][: at[place]]
    request = Requests(states[:, place], matrix(row["targets"])[:, place], [seen])
    last = last_items(matrix(row["item_ids"]), np.zeros(1, int), np.array([place]))
    ours, _ = scorer.best_items(request.users, last, SHOWN, request.seen)
    others, counts = popularity(request, listed.train_events)
    theirs, _ = top_k(others.users, counts, SHOWN, request.seen)
    lists = (seen[-SHOWN:], request.targets, ours[0][ours[0] >= FIRST], theirs[0][theirs[0] >= FIRST])
    user_id = row["user_id"][0].as_py()
    return user_id, *([int(i) for i in indices] for indices in lists)


def _titles(run: Run, listed: Catalogue, indices: Iterable[int]) -> dict[int, str]:
    """Title of each index: the item's id where it has no title."""
    ids = {i: listed.item_ids[i] for i in set(indices)}
    rows = run.read("items").where(F.col("item_id").isin(*ids.values())).select("item_id", "title").collect()
    titles = {row["item_id"]: row["title"] for row in rows if row["title"]}
    return {i: titles.get(item_id) or item_id or "(not in the vocabulary)" for i, item_id in ids.items()}
