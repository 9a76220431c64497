"""Score users: vectors of items and users, and the best items for every user, as of the start of a day.

Reads   events, users, user_features      events before the day; user_features of every day with events, and of the day
        items, item_content, statistics, projections   content of today, scaled as the model was trained
        item_vocabulary, user_vocabulary, label_vocabulary
        item_neighbours                   why an item is recommended
        models                            the newest, or scoring.model_id
Writes  item_vectors, user_vectors        of the model and the day, replaced whole
        recommendations                   of the day, replaced whole

The day is the one after the run's last, or after the last event. A user whose history holds an item that the vocabulary
knows has a vector, and gets the items with the highest scores: products of vectors, and on top what usually comes right after
the user's last items. Everyone else goes down scoring.fallback; what is popular is counted over scoring.popular_days before the
day. With scoring.active_days only users with an event in so many days before the day are scored at all.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.content.encoding import with_user_content
from features.errors import NoInputError
from features.scaling import z_scores
from features.sequences.histories import given_values, last_items, seen_items
from features.sequences.sequences import keep_types, latest_windows
from features.sequences.steps import UserFeatures
from features.sequences.vocabularies import FIRST, Vocabularies
from features.signals.fallbacks import fallback_chains, with_fallbacks, without_candidates
from features.signals.popularity import keep_before, popular, popular_in_segment
from features.trailing.tables import model_features, zero_features
from jobs.modelling.shipping import ship, shipped, shipped_likeness
from jobs.modelling.trained import (
    Catalogue,
    Trained,
    as_trained,
    catalogue,
    likeness,
    listed_items,
    newest_model,
    users_content,
)
from jobs.runtime.days import DAY
from jobs.runtime.job import Job
from jobs.runtime.run import Run
from jobs.runtime.warehouse import equals
from models.signals.transitions import LAST, newest_of_each
from models.stream.columns import histories, lists, ragged


@dataclass(frozen=True)
class Scoring:
    """What the steps of one run share."""

    run: Run
    as_of: datetime.date
    past: DataFrame  # events before as_of
    own: DataFrame  # those of the users who are scored
    items: DataFrame  # item_vocabulary, of the catalogue's items
    trained: Trained
    model: str  # name of the shipped model
    statistics: DataFrame  # as the model was trained with

    @property
    def partition(self) -> dict[str, str | datetime.date]:
        return {"model_id": self.trained.model_id, "date": self.as_of}


def build(run: Run) -> None:
    trained, as_of = newest_model(run), run.as_of()
    past = keep_before(run.read("events"), as_of)
    own = _of_active_users(past, as_of, run.config.scoring.active_days)
    _check_features(run, own, as_of)
    listed = catalogue(run, trained)
    model = ship(run.spark, trained.folder, listed.vectors, likeness(run, listed))
    statistics = as_trained(run, trained, "statistics")
    scoring = Scoring(run, as_of, past, own, listed_items(run, listed), trained, model, statistics)
    run.count("item_vectors", _write_vectors(scoring, "item", _item_vectors(run, listed)))
    run.count("user_vectors", _write_vectors(scoring, "user", _user_vectors(scoring)))
    _recommend(scoring, candidates=len(listed.item_ids) - FIRST)


def _of_active_users(past: DataFrame, as_of: datetime.date, days: int | None) -> DataFrame:
    """The events, also the older ones, of the users with an event in the `days` before the day; of all where none are given."""
    if days is None:
        return past
    return past.join(keep_before(past, as_of, days).select("user_id").distinct(), "user_id", "left_semi")


def _write_vectors(scoring: Scoring, entity: str, vectors: DataFrame) -> int:
    constants = {name: F.lit(value) for name, value in scoring.partition.items()}
    return scoring.run.write(f"{entity}_vectors", vectors.withColumns(constants), equals(**scoring.partition))


def _item_vectors(run: Run, listed: Catalogue) -> DataFrame:
    columns = {"item_id": pa.array(listed.item_ids[FIRST:], pa.string()), "vector": lists(listed.vectors[FIRST:])}
    return run.spark.createDataFrame(pa.table(columns))


def _user_vectors(scoring: Scoring) -> DataFrame:
    run, declared = scoring.run, scoring.run.config.features.user
    windows = latest_windows(
        scoring.own,
        UserFeatures(run.read("user_features"), model_features(declared), zero_features(declared)),
        Vocabularies(scoring.items, run.read("user_vocabulary"), run.read("label_vocabulary")),
        scoring.statistics,
        run.config.sequences,
        scoring.as_of,
    )
    known = windows.where(F.exists("item_ids", lambda item: item >= FIRST))
    known = with_user_content(known, users_content(run, scoring.trained), run.config.content.user)
    return known.mapInArrow(_encoder(scoring.model), "user_id string, vector array<float>")


def _check_features(run: Run, past: DataFrame, as_of: datetime.date) -> None:
    """A user without a row would look like one without a past.

    Raises:
        NoInputError: a user with events before the day has no features as of it.
    """
    if not model_features(run.config.features.user):
        return
    users = keep_types(past, run.config.sequences).select("user_id").distinct()
    rows = run.read("user_features").where(F.col("date") == F.lit(as_of)).select("user_id", F.lit(True).alias("featured"))
    joined = users.join(rows, "user_id", "left")
    every, without = joined.agg(F.count("*"), F.count_if(F.col("featured").isNull())).collect()[0]
    if without:
        raise NoInputError(
            f"user_features: {without} of {every} users with events have no row as of {as_of}. "
            f"Run build_features{_dates(run, past, as_of - DAY)} first."
        )


def _dates(run: Run, past: DataFrame, last: datetime.date) -> str:
    """The arguments with which build_features makes rows as of the day after `last`, on which there may be no event."""
    if last == run.last_day:
        return ""
    newest: datetime.date = past.agg(F.max("date")).head()[0]  # type: ignore[index]
    return f" --date {last}" if newest == last else f" --start {newest} --end {last}"


def _encoder(model: str) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def encode(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if len(batch):
                vectors = shipped(model).user_vectors(histories(batch), batch.column("events").to_numpy())
                yield pa.record_batch([batch.column("user_id"), lists(vectors)], ["user_id", "vector"])

    return encode


def _recommend(scoring: Scoring, candidates: int) -> None:
    run = scoring.run
    users = _scored_users(scoring).persist()
    warm, cold = users.where("vector IS NOT NULL"), users.where("vector IS NULL").drop("vector", "rated", "values")
    chains = _chains(scoring, cold).persist()
    k = run.config.scoring.top_k
    value = _in_units(scoring.statistics, scoring.trained.exported.card)
    by_model = _by_model(warm, scoring.model, k, predicts_values=value is not None)
    by_model = by_model.withColumn("value", F.lit(None).cast("double") if value is None else value)
    ranked = by_model.unionByName(with_fallbacks(cold, chains, k), allowMissingColumns=True)
    because = scoring.items.select(F.col("item_id").alias("because_item_id"), F.col("index").alias("because"))
    named = ranked.join(F.broadcast(scoring.items), "index").join(F.broadcast(because), "because", "left")
    rows = named.withColumns({"date": F.lit(scoring.as_of), "model_id": F.lit(scoring.trained.model_id)})
    run.count("recommendations", run.write("recommendations", rows, equals(date=scoring.as_of)))
    _reconcile_users(scoring, users, warm.where(F.size("seen") >= candidates).count() + without_candidates(cold, chains))


def _everyone(scoring: Scoring) -> DataFrame:
    """`user_id` of all in `users` or with an event before the day."""
    return scoring.run.read("users").select("user_id").union(scoring.past.select("user_id")).distinct()


def _scored_users(scoring: Scoring) -> DataFrame:
    """Everyone, or with scoring.active_days the active ones: `user_id`, `segment`, `vector` (null: none), `past`, the items of
    their events, `seen`, those of them that are left out, `last`, those of the last events, and `rated` and `values`, what they
    gave items."""
    run = scoring.run
    listed = run.read("users").select("user_id", "segment")
    active = run.config.scoring.active_days is not None
    users = scoring.own.select("user_id").distinct() if active else _everyone(scoring)
    vectors = run.read("user_vectors").where(equals(**scoring.partition)).select("user_id", "vector")
    past, none = seen_items(scoring.own, scoring.items).withColumnRenamed("seen", "past"), F.array().cast("array<int>")
    joined = users.join(listed, "user_id", "left").join(vectors, "user_id", "left").join(past, "user_id", "left")
    events = keep_types(scoring.own, run.config.sequences)
    newest = last_items(events, scoring.items, min(LAST, run.config.sequences.max_length))  # as training and evaluation read
    values = given_values(events, scoring.items, scoring.statistics)
    known = joined.join(newest, "user_id", "left").join(values, "user_id", "left")
    known = known.withColumn("past", F.coalesce("past", none))
    return known.withColumn("seen", F.col("past") if run.config.scoring.leaves_out_seen else none)


def _in_units(statistics: DataFrame, card: Mapping[str, Any]) -> Column | None:
    """What is `predicted` of a value in the unit of recommendations; None where the model has not learnt any."""
    score = z_scores(statistics, "sequences").get("value")
    if score is None or not card.get("predicts_values", card.get("tells_values", True)):
        return None
    if card.get("like_score") is not None:
        return 1 / (1 + F.exp(-F.col("predicted")))
    return F.col("predicted") * score.std + score.mean


def _chains(scoring: Scoring, cold: DataFrame) -> DataFrame:
    run, settings = scoring.run, scoring.run.config.scoring
    chosen = keep_types(scoring.past, run.config.sequences)  # to return an item does not make it popular
    recent = keep_before(chosen, scoring.as_of, settings.popular_days)
    longest = cold.agg(F.coalesce(F.max(F.size("seen")), F.lit(0))).head()
    depth = settings.top_k + longest[0]  # type: ignore[index]  # so many may have to be left out
    by_segment = popular_in_segment(recent, scoring.items, run.read("users"))
    return fallback_chains(cold, popular(recent, scoring.items), by_segment, settings.fallback, depth)


def _by_model(users: DataFrame, model: str, k: int, predicts_values: bool) -> DataFrame:
    """`user_id`, `rank`, `index`, `score`, `source` of the best items, what is `predicted` of their values, and why: `because`
    (index) and the three similarities, null where there is nothing to compare."""
    columns = ("user_id", "vector", "seen", "past", "last", "rated", "values")
    pairs = users.select(*columns).mapInArrow(_rank_batches(model, k, predicts_values), _RANKED)
    similarities = {name: F.when(~F.isnan(name), F.col(name)).cast("double") for name in _SIMILARITIES}
    return pairs.where(F.col("index") >= FIRST).withColumns({**similarities, "source": F.lit("model")})


_SIMILARITIES = ("because_similarity", "category_similarity", "content_similarity")
_RANKED = (
    "user_id string, rank int, index int, score double, predicted double, because int, "
    f"{', '.join(f'{name} float' for name in _SIMILARITIES)}"
)


def _rank_batches(model: str, k: int, predicts_values: bool) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def rank(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scorer, likeness = shipped(model), shipped_likeness(model)
        for batch in batches:
            if len(batch):
                vectors = np.stack(ragged(batch.column("vector")))
                last = newest_of_each(ragged(batch.column("last")))
                items, scores = scorer.best_items(vectors, last, k, ragged(batch.column("seen")))
                pasts = list(zip(ragged(batch.column("rated")), ragged(batch.column("values")), strict=True))
                predicted = scorer.values(vectors, items, pasts) if predicts_values else np.full(items.shape, np.nan)
                reasons = [likeness.reasons(past, top) for past, top in zip(ragged(batch.column("past")), items, strict=True)]
                columns = {
                    "user_id": batch.column("user_id").take(pa.array(np.repeat(np.arange(len(items)), items.shape[1]))),
                    "rank": np.tile(np.arange(1, items.shape[1] + 1, dtype=np.int32), len(items)),
                    "index": items.astype(np.int32).ravel(),
                    "score": scores.astype(np.float64).ravel(),
                    "predicted": predicted.astype(np.float64).ravel(),
                    **{n: np.concatenate([getattr(r, n) for r in reasons]) for n in ("because", *_SIMILARITIES)},
                }
                yield pa.RecordBatch.from_pydict(columns)

    return rank


def _reconcile_users(scoring: Scoring, users: DataFrame, exhausted: int) -> None:
    """Every user is in the table, or has nothing left to be recommended, or has not come for long."""
    run = scoring.run
    first = run.read("recommendations").where(equals(date=scoring.as_of)).where("rank = 1")
    by_source = {row["source"]: row["count"] for row in first.groupBy("source").count().collect()}
    for source, number in by_source.items():
        run.count(f"users_{source}", number)
    run.count("users_without_candidates", exhausted)
    scored = users.count()
    inactive = 0 if run.config.scoring.active_days is None else _everyone(scoring).count() - scored
    run.count("users_inactive", inactive)
    run.account(scored + inactive, sum(by_source.values()), refused=exhausted + inactive)


JOB = Job(
    "score_users",
    build,
    reads=(
        "events", "users", "user_features", "items", "item_content", "statistics", "projections",
        "item_vocabulary", "user_vocabulary", "label_vocabulary", "item_neighbours", "models",
    ),
    writes=("item_vectors", "user_vectors", "recommendations"),
    sections=("scoring", "sequences", "features", "content"),
    description="Vectors of items and users, and the best items for every user.",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    return JOB.main(argv)


if __name__ == "__main__":
    sys.exit(main())
