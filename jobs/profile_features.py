"""Describe the features: statistics by month, drift against a reference month, and which of them the model sees.

Reads   events, items, days and features of users, items and categories: the label is what the key does on the row's own
        day, the mean value of its training events where values are ratings, else their number
Writes  feature_statistics, feature_selection  replaced whole
        _reports/dictionary.html               every feature as it is declared, with its lineage and its statistics

Statistics and drift are of rows of days with an event: rows that were asked for, of every key as of the day after a run, are
another population. Information, correlation and drift are told from a sample, the same one in every run; that of drift has
as many rows of every month. Drift beyond a threshold is a warning in the log, or ends the run with 3; the tables are written
before.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.errors import ContractError
from features.profiling.drift import Drifted, beyond_thresholds, drift
from features.profiling.profiles import profile, sample, sample_months
from features.profiling.selection import LABEL, Choice, Measured, choose, measure
from features.schema import NUMBERS
from features.sequences.sequences import keep_types
from features.sequences.splits import with_split
from features.trailing.event_columns import with_key
from features.trailing.tables import feature_columns
from jobs.profiling.dictionary import described, render
from jobs.runtime.files import write_text
from jobs.runtime.job import Job
from jobs.runtime.run import Run

SAMPLE = 200_000  # rows
DICTIONARY = "_reports/dictionary.html"  # beside the tables


def build(run: Run) -> None:
    events = keep_types(run.read("events"), run.config.sequences)  # split as those of sequences are
    trained = with_split(events, run.config.sequences.split).where(F.col("split") == "train")
    trained = trained.select("user_id", "item_id", "date", "value").persist()
    statistics, selection = [], []
    drifts: dict[str, list[Drifted]] = {}
    months_of: dict[str, dict[str, int]] = {}  # rows of each month, by table
    for entity in run.config.features.entities:
        table, rows = f"{entity}_features", run.read(f"{entity}_features")
        columns = feature_columns(run.config.features.of(entity))
        if not columns:
            continue
        numbers = [c.name for c in columns if c.type in NUMBERS]
        active = rows.join(run.read(f"{entity}_days").select(f"{entity}_id", "date"), [f"{entity}_id", "date"], "left_semi")
        with run.step("statistics", table=table):
            found = profile(active, columns).collect()
        statistics += [(table, *one) for one in found]
        months = months_of[table] = {one["month"]: int(one["number"]) for one in found if one["statistic"] == "rows"}
        with run.step("selection", table=table):
            labelled = _labelled(run, rows, with_key(trained, run.read("items"), entity), entity)
            selection += [(table, *chosen) for chosen in _selection(run, labelled, numbers)]
        with run.step("drift", table=table):
            labels = [c.name for c in columns if c.type == "string"]
            drifts[table] = _drift(run, active, months, entity, numbers, labels)
    statistics += [(table, *drifted) for table, found in drifts.items() for drifted in found]
    rows = run.spark.createDataFrame(statistics, run.table("feature_statistics").schema)
    run.write("feature_statistics", rows.coalesce(1))
    chosen = run.spark.createDataFrame(selection, run.table("feature_selection").schema)
    run.count("features_left_out", sum(not kept for _, _, kept, *_ in selection))
    run.write("feature_selection", chosen.coalesce(1))
    _write_dictionary(run)
    _judge(run, drifts, months_of)


def _labelled(run: Run, rows: DataFrame, trained: DataFrame, entity: str) -> DataFrame:
    """A sample of the rows of days on which their key has training events, with the label."""
    explicit = run.config.source.events.value == "explicit"
    label = F.avg("value") if explicit else F.count("*").cast("double")
    labels = trained.groupBy(f"{entity}_id", "date").agg(label.alias(LABEL))
    return sample(rows.join(labels, [f"{entity}_id", "date"]), f"{entity}_id", SAMPLE, labels.count()).persist()


def _selection(run: Run, labelled: DataFrame, names: Sequence[str]) -> list[tuple[str, bool, str, float, int, float, int]]:
    """Rows of feature_selection, without the table; none where there is nothing to tell it from."""
    if not names or labelled.isEmpty():
        return []
    measured, correlations = measure(labelled, names)
    choices = choose(measured, correlations, run.config.features.selection)
    return [_row(name, measured[name], choices[name]) for name in names]


def _row(name: str, m: Measured, choice: Choice) -> tuple[str, bool, str, float, int, float, int]:
    return name, choice.kept, choice.reason, m.nulls, m.distinct, m.information, choice.cluster


def _drift(
    run: Run, rows: DataFrame, months: Mapping[str, int], entity: str, numbers: Sequence[str], labels: Sequence[str]
) -> list[Drifted]:
    """Rows of feature_statistics, without the table; none where no reference month is declared, or it has too few rows.

    Args:
        months: number of rows of each.
    """
    rule = run.config.features.drift
    if rule is None or rule.reference not in months:
        return []
    asked = {month: number for month, number in sorted(months.items()) if month >= rule.reference}
    few = {month: number for month, number in asked.items() if number < rule.min_rows}
    if few:
        run.log("drift_of_few_rows", table=f"{entity}_features", min_rows=rule.min_rows, rows=few)
    if rule.reference in few:
        return []
    judged = {month: number for month, number in asked.items() if month not in few}
    sampled = sample_months(rows, f"{entity}_id", SAMPLE, judged).persist()
    return drift(sampled, rows.where(F.col("month") == rule.reference), numbers, labels, rule.reference)


def _write_dictionary(run: Run) -> None:
    path = run.path(DICTIONARY)
    with run.step("dictionary", path=path):
        statistics, selection = run.read("feature_statistics"), run.read("feature_selection")
        tables = {f"{e}_features": described(run.config, e, statistics, selection) for e in run.config.features.entities}
        write_text(run.spark, path, render(run.config.name, tables))


def _judge(run: Run, drifts: Mapping[str, Sequence[Drifted]], months_of: Mapping[str, Mapping[str, int]]) -> None:
    """Warns of drift, or raises ContractError, by the declared thresholds, or where a table has no rows to compare with.

    Args:
        drifts: what was found, by table.
        months_of: rows of each month, by table.
    """
    rule = run.config.features.drift
    if rule is None:
        return
    without = [table for table, months in months_of.items() if rule.reference not in months]
    if without:
        raise ContractError(
            f"{', '.join(without)}: the reference month of drift must have rows. Received {rule.reference} (features.drift)."
        )
    found = [one._replace(feature=f"{table}.{one.feature}") for table, of_table in drifts.items() for one in of_table]
    warned, failed = beyond_thresholds(found, rule)
    for one in warned:
        run.log("drift_warning", **one._asdict())
    run.count("drift_warnings", len(warned))
    if failed:
        breaches = "; ".join(f"{d.feature} {d.statistic} {d.number:.3f} in {d.month}" for d in failed)
        raise ContractError(
            f"features: they must not drift so far from {rule.reference} (features.drift, fail). Received {breaches}."
        )


JOB = Job(
    "profile_features",
    build,
    reads=(
        "events", "items", "user_days", "item_days", "category_days", "user_features", "item_features", "category_features",
    ),
    writes=("feature_statistics", "feature_selection"),
    sections=("features", "sequences", "source"),
    description="Statistics, drift and selection of features.",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    return JOB.main(argv)


if __name__ == "__main__":
    sys.exit(main())
