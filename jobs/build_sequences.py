"""Build the sequences that the model learns from and is judged by, with the vocabularies and statistics they are encoded in.

Reads   events, items, user_features      events up to the last day of the run; user_features of every day with events
        feature_selection                 which of them the model sees; all, where there is no such table
        users                             where content.user declares something
Writes  item_vocabulary, user_vocabulary, label_vocabulary   new entries are appended, an index never changes
        statistics                        owners sequences, user_features, item_content, user_content: replaced
        projections, user_content         where content declares something for them: replaced whole
        item_content, item_neighbours, item_transitions, item_values, sequences   replaced whole
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.content.encoding import with_user_content
from features.content.fitted import Fitted
from features.content.labels import content_labels
from features.errors import ContractError, NoInputError
from features.layout import spread
from features.scaling import fit
from features.schema import conform
from features.sequences import vocabularies as v
from features.sequences.leakage import check_events, check_examples, check_statistics
from features.sequences.order import start_of
from features.sequences.sequences import keep_types, training_examples
from features.sequences.splits import SPLITS, training_end, with_split
from features.sequences.steps import UserFeatures
from features.sequences.vocabularies import Vocabularies, new_entries
from features.signals.item_values import item_values
from features.signals.neighbours import item_neighbours
from features.signals.transitions import item_transitions
from features.trailing.tables import logarithmic_features, model_features, zero_features
from jobs.modelling import contents
from jobs.modelling.contents import Content
from jobs.runtime.job import Job
from jobs.runtime.run import Run

EVENT_COLUMNS = ("event_id", "user_id", "item_id", "event_type", "value", "event_time", "tie_order", "date")
OWNERS = ("sequences", "user_features", *contents.OWNERS)
FITTED = f"owner IN {OWNERS}"  # the statistics that are fitted here


def build(run: Run) -> None:
    config = run.config.sequences
    run.expect_all("events")
    events = with_split(_events(run), config.split).persist()
    if events.isEmpty():
        until = "" if run.dates is None else f" up to {run.dates.end}"
        types = "" if config.event_types is None else f" of the types {', '.join(config.event_types)}"
        raise NoInputError(f"events: there are none{until}{types}. Clean the events first.")
    end = training_end(events, config.split)
    declared = contents.contents(run)
    statistics = _statistics(run, events, declared, end)
    fitted = contents.fitted(run, statistics, declared)
    vocabularies = _vocabularies(run, events, declared, fitted)
    contents.write_contents(run, declared, fitted, events)
    train = events.where(F.col("split") == "train")
    run.write("item_neighbours", item_neighbours(train, config.neighbours))
    run.write("item_transitions", item_transitions(train, vocabularies.items, config.transitions))
    run.write("item_values", item_values(train, vocabularies.items, statistics, config.item_values))
    user_features = UserFeatures(run.read("user_features"), _user_features(run), zero_features(run.config.features.user))
    examples = training_examples(events, user_features, vocabularies, statistics, config)
    fields = run.config.content.user
    examples = with_user_content(examples, run.read("user_content") if fields else None, fields).persist()
    with run.step("examples"):
        rows = _account(run, events, examples)
    with run.step("leakage_guard"):
        _check_fitted(run, statistics, end)
        check_events(events)
        check_examples(examples, config.split, start_of(run.as_of()))
    run.write("sequences", spread(conform(examples, run.table("sequences")), rows, len(_user_features(run))))


def _user_features(run: Run) -> tuple[str, ...]:
    """The features that the model sees: those of users that are one number, without what the selection has left out."""
    names = model_features(run.config.features.user)
    if not run.can_read("feature_selection"):
        return names
    dropped = run.read("feature_selection").where("table = 'user_features' AND NOT kept").select("feature").collect()
    return tuple(name for name in names if name not in {row["feature"] for row in dropped})


def _events(run: Run) -> DataFrame:
    """What sequences need of the events up to the last day of the run."""
    return keep_types(run.events(), run.config.sequences).select(*EVENT_COLUMNS)


def _statistics(run: Run, events: DataFrame, declared: Sequence[Content], end: int) -> DataFrame:
    """Fits everything on the training period and writes it; returns the whole table of statistics."""
    train = events.where(F.col("split") == "train")
    days = train.where(F.col("position") > 0).select("user_id", "date").distinct()
    features = run.read("user_features").join(days, ["user_id", "date"], "left_semi")
    logarithmic = logarithmic_features(run.config.features.user)
    fitted = [fit(features, "user_features", _user_features(run), end, logarithmic)]
    fitted += contents.fit_contents(run, declared, train, end)
    if run.config.source.events.value == "explicit":  # an implicit value is no rating to learn from
        fitted.append(fit(train, "sequences", ["value"], end))
    rows = reduce(DataFrame.unionByName, fitted).coalesce(1)
    run.write("statistics", rows, FITTED)
    return run.read("statistics")


def _check_fitted(run: Run, statistics: DataFrame, end: int) -> None:
    check_statistics(statistics, end)
    if contents.has_projections(run):
        check_statistics(run.read("projections").withColumn("statistic", F.lit("basis")), end)


def _vocabularies(run: Run, events: DataFrame, declared: Sequence[Content], fitted: Mapping[str, Fitted]) -> Vocabularies:
    """Appends what is new; returns the whole vocabularies."""
    first_seen, items = F.asc_nulls_last("first_seen"), run.read("items")
    found = [content_labels(c.entities, c.fields, fitted[c.owner]) for c in declared]
    labels = reduce(DataFrame.unionByName, [rows for rows in found if rows is not None], v.labels_in_order(events, items))
    known = v.items_in_order(events, items, run.config.sequences.min_item_events)
    _append(run, "item_vocabulary", known, first_seen, F.asc("item_id"))
    _append(run, "user_vocabulary", v.users_in_order(events), first_seen, F.asc("user_id"))
    _append(run, "label_vocabulary", labels, F.asc("label"))
    return Vocabularies(*[run.read(f"{name}_vocabulary") for name in ("item", "user", "label")])


def _append(run: Run, name: str, found: DataFrame, *order: Column) -> None:
    table = run.table(name)
    run.warehouse.create(table)
    version = run.warehouse.version(name) or 0
    old = run.warehouse.read(table, version)
    # Two builds at once would give one index to two entries: the one that comes late is refused, and tried again.
    run.count(f"{name}_new", run.append_since(name, new_entries(old, found, table.keys, order), version))


def _account(run: Run, events: DataFrame, examples: DataFrame) -> dict[tuple[str, int], int]:
    """Counts the examples of each split and length, and checks that every event is in exactly one place.

    Raises:
        ContractError: an event but the first of its user is not one example's target, or its day has no user features.
    """
    first = F.count_if(F.col("position") == 0)
    read, users = events.agg(F.count("*"), first).collect()[0]
    groups = (
        examples.groupBy("split", "length")
        .agg(F.count("*").alias("rows"), F.sum("counted").alias("targets"), F.sum("unfeatured").alias("unfeatured"))
        .collect()
    )
    targets = {split: sum(group["targets"] for group in groups if group["split"] == split) for split in SPLITS}
    for name, number in {"events": read, "first_events": users, **{f"{s}_targets": n for s, n in targets.items()}}.items():
        run.count(name, number)
    if read - users != sum(targets.values()):
        raise ContractError(f"sequences: events - first events must be the targets. Received {read} - {users} != {targets}.")
    without = sum(group["unfeatured"] for group in groups)
    if without:
        raise ContractError(
            f"user_features: {without} events have no row of their user and day. Run build_features over all days."
        )
    return {(group["split"], group["length"]): group["rows"] for group in groups}


JOB = Job(
    "build_sequences",
    build,
    reads=("events", "items", "users", "user_features", "feature_selection"),
    writes=(
        "item_vocabulary", "user_vocabulary", "label_vocabulary", "statistics", "projections", "item_content", "user_content",
        "item_neighbours", "item_transitions", "item_values", "sequences",
    ),
    sections=("features", "content", "sequences", "source"),
    ignored=(  # what they decide is read
        "features.selection", "features.drift",
        "source.events.path", "source.items.path", "source.tags.path", "source.users.path",
    ),
    shared={"statistics": FITTED},
    description="Sequences, vocabularies and the statistics they are encoded in.",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    return JOB.main(argv)


if __name__ == "__main__":
    sys.exit(main())
