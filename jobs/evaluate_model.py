"""Evaluate a model: metrics of full rankings beside popularity and nearest neighbours, and a report.

Reads   sequences, events                 the targets of valid and test; whole histories, to leave out of a ranking
        item_content, item_vocabulary, item_neighbours, label_vocabulary, items, models
        statistics, projections           what the content of items was scaled by when the model was trained
        recommendations, quarantine       for the report, where they are there
Writes  metrics                           of the model, replaced whole
        _reports/<model_id>/report.html   beside the tables

Each target that counts is ranked among all items of the vocabulary: raw, and with the items of the user's own history before
it left out. A target that the vocabulary does not know is a miss. In the same two ways rank popularity, by training events;
recent_popularity, by those of the last days of the training period; item_knn, by how similar an item is to those of the past;
markov_chain, by how often an item came after the last ones. Where values are explicit, those of the targets are compared with
what the rating head says.
"""

from __future__ import annotations

import datetime
import math
import sys
from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.errors import ContractError, NoInputError
from features.scaling import z_scores
from features.sequences.histories import histories, with_history
from features.sequences.sequences import keep_types
from features.sequences.splits import with_split
from features.signals.popularity import keep_before
from jobs.evaluation.held_back import check_split, held_back
from jobs.evaluation.judging import (
    METRIC_ROW,
    OURS,
    POPULARITY,
    RECENT,
    MetricRow,
    items_in_lists,
    judged,
    metric_sums,
    value_errors,
)
from jobs.evaluation.report import render
from jobs.evaluation.report_data import collect
from jobs.modelling.shipping import ship
from jobs.modelling.trained import Catalogue, Trained, as_trained, catalogue, likeness, listed_items, newest_model
from jobs.runtime.files import write_text
from jobs.runtime.job import Job
from jobs.runtime.run import Run
from jobs.runtime.warehouse import equals
from models.evaluation import estimate_of, headline_cutoff
from models.inputs import FIRST

MANY_SEEN = 0.1  # share of the targets from which on it is told that the user had seen them


def build(run: Run) -> None:
    trained = newest_model(run)
    check_split(run, trained)
    listed = catalogue(run, trained)
    items = listed_items(run, listed)
    examples = _examples(run, trained, items).persist()
    cutoffs = run.config.evaluation.cutoffs
    model = ship(run.spark, trained.folder, listed.vectors, likeness(run, listed))
    events = {POPULARITY: listed.train_events, RECENT: _recent_events(run, items, len(listed.item_ids))}
    results = judged(examples, model, events, max(cutoffs)).persist()
    with run.step("judge") as fields:
        counts = _check_targets(run, results)
        fields.update(counts)
    rankings = _metrics(results, cutoffs, len(listed.item_ids) - FIRST)
    metrics = sorted(rankings + _value_metrics(run, trained, results))
    _write(run, trained, metrics)
    _log_result(run, trained, metrics)
    notes = _repeats(run, counts)
    for note in notes:
        run.log("targets_seen", note=note)
        print(note)
    _report(run, trained, listed, examples, metrics, notes)


def _examples(run: Run, trained: Trained, items: DataFrame) -> DataFrame:
    """The rows of valid and test with the histories of their users, without those that the model has learned from."""
    events, config = run.events(), run.config.sequences
    rows = run.read("sequences").where(F.col("split").isin("valid", "test"))
    if rows.isEmpty():
        raise NoInputError(
            "sequences: no row is in valid or test. leave_one_out needs users with three events and more, global_time events "
            "from sequences.split.valid_from on."
        )
    rows = held_back(run, trained, rows)
    users = _judged_users(run, rows)
    if users is not None:
        rows = rows.join(F.broadcast(users), ["user_id", "split"], "left_semi")
        events = events.join(F.broadcast(users), "user_id", "left_semi")
    return with_history(rows, histories(events, items, config), config)


def _judged_users(run: Run, rows: DataFrame) -> DataFrame | None:
    """`user_id` and `split` of the evaluation.users users of each split whose ids hash lowest; None: there are no more."""
    most = run.config.evaluation.users
    if most is None:
        return None
    users = rows.select("user_id", "split").distinct().persist()
    number = {row["split"]: row["count"] for row in users.groupBy("split").count().collect()}
    if max(number.values()) <= most:
        return None
    run.log("users_cut", judged=most, of=number)
    of_split = [users.where(F.col("split") == split) for split in number]
    return reduce(DataFrame.unionByName, [u.orderBy(F.xxhash64("user_id"), "user_id").limit(most) for u in of_split])


def _recent_events(run: Run, items: DataFrame, size: int) -> np.ndarray:
    """(size,) int64: each item's training events of the last days of the training period."""
    train = with_split(keep_types(run.events(), run.config.sequences), run.config.sequences.split).where("split = 'train'")
    counts, newest = np.zeros(size, np.int64), train.agg(F.max("date")).head()
    if newest is None or newest[0] is None:
        return counts
    recent = keep_before(train, newest[0] + datetime.timedelta(days=1), run.config.evaluation.recent_days)
    for row in recent.groupBy("item_id").count().join(items, "item_id").collect():
        counts[row["index"]] = row["count"]
    return counts


def _check_targets(run: Run, results: DataFrame) -> dict[str, int]:
    """Counts the targets of each split, and those of them that the user had seen before.

    Raises:
        ContractError: the sequences were cut from other events than those of today.
    """
    masked, ranked = F.col("masked"), F.col("rank") < float("inf")
    ours = results.where(F.col("rank").isNotNull() & (F.col("model") == OURS)).groupBy("split")
    rows = ours.agg(
        F.count_if(masked).alias("targets"),
        F.count_if(masked & F.isnan("rank")).alias("lost"),
        (F.count_if(~masked & ranked) - F.count_if(masked & ranked)).alias("targets_seen"),
    ).collect()
    lost = sum(row["lost"] for row in rows)
    if lost:
        raise ContractError(
            f"sequences: {lost} of {sum(row['targets'] for row in rows)} targets do not stand in events where they should: "
            f"events is at version {run.version('events')}, sequences were built from another one. Run build_sequences first."
        )
    counts = {f"{row['split']}_{name}": row[name] for row in rows for name in ("targets", "targets_seen")}
    for name, number in counts.items():
        run.count(name, number)
    return counts


def _repeats(run: Run, counts: Mapping[str, int]) -> list[str]:
    """One sentence per split of whose targets the ranking that is served leaves out many, which are misses of every model."""
    if not run.config.scoring.leaves_out_seen:
        return []
    found = {split: counts.get(f"{split}_targets_seen", 0) / counts.get(f"{split}_targets", 1) for split in ("test", "valid")}
    return [
        f"{100 * share:.0f} % of the {split} targets had been seen before; scoring.exclude: [] would rank them."
        for split, share in found.items()
        if share > MANY_SEEN
    ]


def _metrics(results: DataFrame, cutoffs: Sequence[int], items: int) -> list[MetricRow]:
    rows, users = [], {}
    for row in metric_sums(results, cutoffs).collect():
        found = estimate_of(row["sums"])
        users[row["split"]] = found.users
        numbers = (_rounded(found.value), _rounded(found.low), _rounded(found.high))
        rows.append(MetricRow(row["model"], row["split"], row["metric"], row["k"], row["masked"], *numbers, found.users))
    for row in items_in_lists(results, cutoffs).collect():
        for k in cutoffs:
            share, judged_by = _rounded(row[str(k)] / items), users[row["split"]]
            rows.append(MetricRow(row["model"], row["split"], "coverage", k, row["masked"], share, None, None, judged_by))
    return rows


def _value_metrics(run: Run, trained: Trained, results: DataFrame) -> list[MetricRow]:
    """How well values are told: errors in the unit of the values, or the share of likes and dislikes that are right."""
    likes = trained.exported.card.get("like_score") is not None
    scores = z_scores(as_trained(run, trained, "statistics"), "sequences")
    unit, rows = scores["value"].std if "value" in scores else 1.0, []
    for row in value_errors(results).orderBy("split").collect():
        found = {"rmse": row["square"] ** 0.5 * unit, "mae": row["absolute"] * unit}
        for metric, value in ({"like_accuracy": 1 - row["absolute"]} if likes else found).items():
            rows.append(MetricRow(OURS, row["split"], metric, 0, False, _rounded(value), None, None, row["users"]))
    return rows


def _rounded(value: float) -> float | None:
    """To twelve digits: executors add up in any order, and a rerun should find the same number. NaN is null."""
    return None if math.isnan(value) else round(value, 12)


def _write(run: Run, trained: Trained, metrics: Sequence[MetricRow]) -> None:
    df = run.spark.createDataFrame(metrics, METRIC_ROW).withColumn("model_id", F.lit(trained.model_id))
    run.count("metrics", run.write("metrics", df.coalesce(1), equals(model_id=trained.model_id)))


def _log_result(run: Run, trained: Trained, metrics: Sequence[MetricRow]) -> None:
    """One line per split that a person looks for: the model's NDCG beside popularity's, of the ranking that is served."""
    k = headline_cutoff(run.config.evaluation.cutoffs)
    served = run.config.scoring.leaves_out_seen
    found = {(m.model, m.split): m.value for m in metrics if (m.masked, m.metric, m.k) == (served, "ndcg", k)}
    for split in sorted({split for _, split in found}):
        ours, theirs = found[OURS, split], found[POPULARITY, split]
        run.log("result", model_id=trained.model_id, split=split, metric=f"ndcg@{k}", lakeformer=ours, popularity=theirs)
        print(f"{split} NDCG@{k}: {trained.model_id} {ours:.4f}, popularity {theirs:.4f}")


def _report(
    run: Run,
    trained: Trained,
    listed: Catalogue,
    examples: DataFrame,
    metrics: Sequence[MetricRow],
    notes: Sequence[str],
) -> None:
    path = run.path(f"_reports/{trained.model_id}/report.html")
    with run.step("report", path=path):
        write_text(run.spark, path, render(collect(run, trained, listed, examples, metrics, notes)))


JOB = Job(
    "evaluate_model",
    build,
    reads=(
        "sequences", "events", "item_content", "item_neighbours", "item_vocabulary", "label_vocabulary", "statistics",
        "projections", "items", "models", "recommendations", "quarantine",
    ),
    writes=("metrics",),
    sections=("evaluation", "sequences", "scoring", "content"),
    description="Metrics of full rankings beside popularity and nearest neighbours, and a report.",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    return JOB.main(argv)


if __name__ == "__main__":
    sys.exit(main())
