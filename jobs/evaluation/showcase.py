"""A few users of the report: what they did, what they did next, and what they would have been shown. Titles, not ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.modelling.trained import Catalogue, Trained
from jobs.runtime.run import Run
from models.evaluation import Requests, popularity
from models.inputs import FIRST
from models.ranking import best_items
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


@dataclass(frozen=True)
class _Lists:
    """An Example before its titles are known: item indices."""

    user_id: str
    last: np.ndarray
    truth: np.ndarray
    ours: np.ndarray
    theirs: np.ndarray

    def indices(self) -> Iterator[int]:
        for of in (self.last, self.truth, self.ours, self.theirs):
            yield from of.tolist()

    def named(self, titles: Mapping[int, str]) -> Example:
        last, truth, ours, theirs = ([titles[i] for i in of.tolist()] for of in (self.last, self.truth, self.ours, self.theirs))
        return Example(self.user_id, last, truth, ours, theirs)


def examples_of(run: Run, trained: Trained, listed: Catalogue, examples: DataFrame) -> list[Example]:
    """The newest request of `evaluation.report_users` users, the same in every run: those whose ids hash lowest."""
    has_test = not examples.where("split = 'test'").isEmpty()
    counting = F.exists("weights", lambda weight: weight > 0) & (F.col("split") == ("test" if has_test else "valid"))
    newest = F.row_number().over(Window.partitionBy("user_id").orderBy(F.desc("target_time"), "example_id"))
    rows = examples.where(counting).withColumn("newest", newest).where("newest = 1").orderBy(F.xxhash64("user_id"), "user_id")
    table = rows.limit(run.config.evaluation.report_users).toArrow()
    scorer = Scorer(trained.exported, listed.vectors)
    leave_out = run.config.scoring.leaves_out_seen
    found = [_lists(row, scorer, listed, leave_out) for row in table.combine_chunks().to_batches(max_chunksize=1)]
    titles = _titles(run, listed, {index for lists in found for index in lists.indices()})
    return [lists.named(titles) for lists in found]


def _lists(row: pa.RecordBatch, scorer: Scorer, listed: Catalogue, leave_out: bool) -> _Lists:
    """An Example as item indices, from a batch of one row; `leave_out`: what the user has seen is not shown."""
    position = int(np.flatnonzero(matrix(row["weights"])[0] > 0)[-1])
    _, states = next(scorer.states(histories(row), row["events"].to_numpy()))
    at = ragged(row["target_at"])[0]
    past = ragged(row["history"])[0][: at[position]]
    request = Requests(states[:, position], matrix(row["targets"])[:, position], [past if leave_out else past[:0]])
    last = last_items(matrix(row["item_ids"]), np.zeros(1, int), np.array([position]))
    ours, _ = scorer.best_items(request.users, last, SHOWN, request.seen)
    theirs, _ = best_items(popularity(1, listed.train_events), len(listed.item_ids), SHOWN, request.seen)
    listed_only = [found[0][found[0] >= FIRST] for found in (ours, theirs)]  # the rest is padding
    return _Lists(row["user_id"][0].as_py(), past[-SHOWN:], request.targets, *listed_only)


def _titles(run: Run, listed: Catalogue, indices: Collection[int]) -> dict[int, str]:
    """Title of each index: the item's id where it has no title."""
    ids = {i: listed.item_ids[i] for i in indices}
    rows = run.read("items").where(F.col("item_id").isin(*ids.values())).select("item_id", "title").collect()
    titles = {row["item_id"]: row["title"] for row in rows if row["title"]}
    return {i: titles.get(item_id) or item_id or "(not in the vocabulary)" for i, item_id in ids.items()}
