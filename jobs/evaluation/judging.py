"""Ranks and sums of metrics on executors: rows of `sequences` in, numbers out that one machine can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from features.tables import METRICS
from jobs.modelling.shipping import shipped, shipped_likeness
from models.evaluation import NEVER, Judged, Requests, judge_scores, metric_keys, popularity, user_sums
from models.inputs import FIRST
from models.scoring.scorer import Scorer
from models.signals.item_values import Past
from models.signals.likeness import Likeness
from models.signals.likes import is_like
from models.signals.transitions import last_items
from models.stream.columns import histories, matrix, ragged

OURS, POPULARITY, RECENT, NEIGHBOURS, CHAIN = "lakeformer", "popularity", "recent_popularity", "item_knn", "markov_chain"
_COLUMNS = {
    "split": pa.string(), "user_id": pa.string(), "rank": pa.float64(), "item": pa.int32(), "best_rank": pa.int32(),
    "model": pa.string(), "masked": pa.bool_(), "error": pa.float64(),
}  # fmt: skip
_KEYS = ("split", "model", "masked")
_SUMS = {**{key: _COLUMNS[key] for key in _KEYS}, "metric": pa.string(), "k": pa.int32(), "sums": pa.list_(pa.float64())}

Batches = Iterable[pa.RecordBatch]
BestRanks = dict[tuple[str, str, bool], np.ndarray]  # by split, ranker and whether masked, (items,): the best of each so far


class MetricRow(NamedTuple):
    """A row of `metrics` without its model_id."""

    model: str
    split: str
    metric: str
    k: int
    masked: bool
    value: float | None
    low: float | None
    high: float | None
    users: int


METRIC_ROW = ", ".join(f"{column.name} {column.type}" for column in METRICS.columns if column.name != "model_id")


def _schema(columns: Mapping[str, pa.DataType]) -> StructType:
    return from_arrow_schema(pa.schema(columns))


def judged(examples: DataFrame, model: str, counts: Mapping[str, np.ndarray], k: int) -> DataFrame:
    """Three kinds of rows, by (split, model, masked), of our model, of popularity in two ways, item_knn and markov_chain.

    Per target that counts: `user_id` and `rank` (0-based; infinity: not in the vocabulary; NaN: the target does not stand in
    the history where it should). Per task and item that reached a list of k: `item` and its `best_rank` (0-based). Per target
    with a value, of our model: `user_id` and `error`, of the z-score; of a model of likes 1 where it is wrong, else 0.

    Args:
        examples: rows of `sequences` with `history` and `target_at`.
        model: name of the shipped model, and of what items have in common.
        counts: by the name of a ranker that gives everyone the same list, the (items,) events that it ranks by.
    """

    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        scorer, alike = shipped(model), shipped_likeness(model)
        best: BestRanks = {}  # for the whole task: rows of each block, for each item, would be hundreds of millions
        for batch in batches:
            for key in _groups(batch):
                part = batch.filter(pc.and_(pc.equal(batch["split"], key[0]), pc.equal(batch["length"], key[1])))
                yield from _judge_part(part, key[0], scorer, alike, counts, k, best)
        for way, ranks in best.items():
            items = np.flatnonzero(ranks < NEVER)
            yield _batch(*way, item=items, best_rank=ranks[items])

    return examples.mapInArrow(run, _schema(_COLUMNS))


def _groups(batch: pa.RecordBatch) -> list[tuple[str, int]]:
    """The (split, length) of a batch: arrays of one length make a matrix."""
    return sorted(set(zip(batch["split"].to_pylist(), batch["length"].to_pylist(), strict=True)))


def _judge_part(
    part: pa.RecordBatch,
    split: str,
    scorer: Scorer,
    alike: Likeness,
    counts: Mapping[str, np.ndarray],
    k: int,
    best: BestRanks,
) -> Iterator[pa.RecordBatch]:
    """The rows of the targets; brings `best` up to date."""
    rows, events, user_ids = histories(part), part["events"].to_numpy(), part["user_id"].to_numpy(zero_copy_only=False)
    targets, weights = matrix(part["targets"]), matrix(part["weights"])
    past, target_at = ragged(part["history"]), ragged(part["target_at"])
    for block, states in scorer.states(rows, events):
        within, position = np.nonzero(weights[block] > 0)
        row, users = block[within], states[within, position]
        at, found = _positions_in_history(past, target_at, row, position, targets)
        requests = Requests(users, targets[row, position], [past[r][:p] for r, p in zip(row, at, strict=True)])
        last = last_items(rows["item_ids"], row, position)
        for name, judgement in _judgements(requests, last, scorer, alike, counts, k).items():
            for masked in (False, True):
                way, ranks = (split, name, masked), judgement.ranks[int(masked)]
                yield _batch(*way, user_id=user_ids[row], rank=np.where(found, ranks, np.nan))
                ranks_of_items = judgement.best_ranks[int(masked)]
                best[way] = np.minimum(best.get(way, ranks_of_items), ranks_of_items)
        valued = (matrix(part["target_value_weights"])[row, position] > 0) & (requests.targets >= FIRST)
        row, position = row[valued], position[valued]
        pasts = [(rows["item_ids"][r, :p], rows["values"][r, :p]) for r, p in zip(row, position + 1, strict=True)]
        actual = matrix(part["target_values"])[row, position]
        errors = _value_errors(scorer, users[valued], requests.targets[valued], pasts, actual)
        yield _batch(split, OURS, False, user_id=user_ids[row], error=errors)


def _judgements(
    requests: Requests, last: np.ndarray, scorer: Scorer, alike: Likeness, counts: Mapping[str, np.ndarray], k: int
) -> dict[str, Judged]:
    """By the name of each ranker. `last`: (n, events) the items before each request, as transitions read them."""
    items = len(scorer.items)
    rankers = {
        **{name: popularity(len(requests.targets), events) for name, events in counts.items()},
        OURS: scorer.scores(requests.users, last),
        NEIGHBOURS: alike.neighbour_scores(requests.seen),
        CHAIN: scorer.exported.transitions.alone(last, items),
    }
    return {name: judge_scores(scores, items, requests.targets, requests.seen, k) for name, scores in rankers.items()}


def _value_errors(
    scorer: Scorer, users: np.ndarray, items: np.ndarray, pasts: Sequence[Past], actual: np.ndarray
) -> np.ndarray:
    predicted, like = scorer.values(users, items[:, None], pasts)[:, 0], scorer.exported.card.get("like_score")
    return predicted - actual if like is None else (predicted > 0) != is_like(actual, like)


def _positions_in_history(
    past: Sequence[np.ndarray], target_at: Sequence[np.ndarray], rows: np.ndarray, positions: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each target's position in its user's history, and whether the history holds it there."""
    at, found = np.zeros(len(rows), np.int64), np.zeros(len(rows), bool)
    for n, (row, position) in enumerate(zip(rows, positions, strict=True)):
        if position < len(target_at[row]):
            at[n] = target_at[row][position]
            found[n] = past[row][at[n]] == targets[row, position]
    return at, found


def _batch(split: str, model: str, masked: bool, **columns: np.ndarray) -> pa.RecordBatch:
    rows = len(next(iter(columns.values())))
    given = {"split": [split] * rows, "model": [model] * rows, "masked": [masked] * rows} | columns
    arrays = [pa.array(given[n], t, from_pandas=False) if n in given else pa.nulls(rows, t) for n, t in _COLUMNS.items()]
    return pa.record_batch(arrays, list(_COLUMNS))


def metric_sums(judged: DataFrame, cutoffs: Sequence[int]) -> DataFrame:
    """`split`, `model`, `masked`, `metric`, `k` and `sums`, of models.evaluation.user_sums, over all users."""
    users = judged.where("rank IS NOT NULL").groupBy(*_KEYS, "user_id").agg(F.collect_list("rank").alias("ranks"))
    sums = users.mapInArrow(_sums(cutoffs), _schema(_SUMS))
    total = F.array(*[F.sum(F.col("sums")[i]) for i in range(6)])
    return sums.groupBy(*_KEYS, "metric", "k").agg(total.alias("sums"))


def _sums(cutoffs: Sequence[int]) -> Callable[[Batches], Iterator[pa.RecordBatch]]:
    def run(batches: Batches) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for key in sorted(set(zip(*(batch[n].to_pylist() for n in _KEYS), strict=True))):
                chosen = [pc.equal(batch[name], pa.scalar(value)) for name, value in zip(_KEYS, key, strict=True)]
                ranks = ragged(batch.filter(pc.and_(pc.and_(chosen[0], chosen[1]), chosen[2]))["ranks"])
                rows = [(*key, metric, at, user_sums(ranks, metric, at).tolist()) for metric, at in metric_keys(cutoffs)]
                columns = [pa.array(c, t) for c, t in zip(zip(*rows, strict=True), _SUMS.values(), strict=True)]
                yield pa.record_batch(columns, list(_SUMS))

    return run


def value_errors(judged: DataFrame) -> DataFrame:
    """`split`, `users`, and mean `square` and `absolute` of the errors; no row where no target has a value."""
    errors = judged.where("error IS NOT NULL").groupBy("split")
    return errors.agg(
        F.count_distinct("user_id").alias("users"),
        F.avg(F.col("error") * F.col("error")).alias("square"),
        F.avg(F.abs("error")).alias("absolute"),
    )


def items_in_lists(judged: DataFrame, cutoffs: Sequence[int]) -> DataFrame:
    """`split`, `model`, `masked`, and per cutoff a column named by it: how many items are in somebody's list of so many."""
    best = judged.where("item IS NOT NULL").groupBy(*_KEYS, "item").agg(F.min("best_rank").alias("best_rank"))
    return best.groupBy(*_KEYS).agg(*[F.count_if(F.col("best_rank") < k).alias(str(k)) for k in cutoffs])
