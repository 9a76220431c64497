"""What the report tells: the model's card, its metrics, what was refused, who was served, and some recommendations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.evaluation.charts import Point
from jobs.evaluation.judging import OURS, POPULARITY, MetricRow
from jobs.evaluation.showcase import Example, examples_of
from jobs.modelling.trained import Catalogue, Trained, trained_at
from jobs.runtime.run import Run
from models.training.spec import GATE


@dataclass(frozen=True)
class Comparison:
    """One metric of both models; None where a model has none."""

    metric: str
    k: int  # 0: no cutoff
    ours: Point | None
    theirs: Point | None

    @property
    def ratio(self) -> float | None:
        return self.ours.value / self.theirs.value if self.ours and self.theirs and self.theirs.value else None


@dataclass(frozen=True)
class Section:
    """The metrics of one split, in one way to rank."""

    split: str
    masked: bool
    users: int
    comparisons: tuple[Comparison, ...]

    def find(self, metric: str, k: int) -> Comparison | None:
        return next((c for c in self.comparisons if (c.metric, c.k) == (metric, k)), None)

    def series(self, metric: str) -> dict[str, list[Point]]:
        rows = [c for c in self.comparisons if c.metric == metric and c.k]
        lines = {OURS: [c.ours for c in rows if c.ours], POPULARITY: [c.theirs for c in rows if c.theirs]}
        return {name: points for name, points in lines.items() if points}


@dataclass(frozen=True)
class Report:
    """Everything that the page shows."""

    name: str
    model_id: str
    card: Mapping[str, str]
    gates: Mapping[str, float]  # mean gate of each part, from the most open one on
    versions: Mapping[str, int]
    packages: Mapping[str, str]
    config: str
    sections: Sequence[Section]
    refused: Mapping[str, int]  # quarantined rows by reason
    served: Mapping[str, int]  # users by source of their recommendations
    examples: Sequence[Example] = field(default_factory=list)
    notes: Sequence[str] = ()  # sentences on how to read the metrics
    dictionary: str = ""  # where the data dictionary is, from the page; empty: there is none


def collect(
    run: Run,
    trained: Trained,
    listed: Catalogue,
    examples: DataFrame,
    metrics: Sequence[MetricRow],
    notes: Sequence[str],
) -> Report:
    """Reads what the report needs.

    Args:
        examples: rows of valid and test, with `history` and `target_at`.
        metrics: sorted.
        notes: sentences on how to read them.
    """
    row = trained.row
    metrics_of = dict(sorted(row["metrics"].items()))
    gates = {name.removeprefix(GATE): value for name, value in metrics_of.items() if name.startswith(GATE)}
    numbers = {name: f"{value:.4g}" for name, value in metrics_of.items() if not name.startswith(GATE)}
    return Report(
        name=run.config.name,
        model_id=trained.model_id,
        card={
            "trained": f"{trained_at(row):%Y-%m-%d %H:%M} UTC", "code": row["code_version"], "seed": str(row["seed"]),
            "steps": f"{row['steps']:,}", "training rows": f"{row['rows']:,}",
            "items": f"{len(listed.item_ids) - 2:,}", **numbers,
        },
        gates=dict(sorted(gates.items(), key=lambda gate: -gate[1])),
        versions=dict(sorted(row["inputs"].items())),
        packages=dict(sorted(row["packages"].items())),
        config=json.dumps(json.loads(row["config"]), indent=2),
        sections=_sections(metrics, run.config.scoring.leaves_out_seen),
        refused=_refused(run),
        served=_served(run, trained),
        examples=examples_of(run, trained, listed, examples),
        notes=notes,
        dictionary="../dictionary.html" if run.exists("feature_selection") else "",
    )  # fmt: skip


def _sections(metrics: Sequence[MetricRow], served: bool) -> list[Section]:
    """The test split before the validation split, and the ranking that is served before the other, `served` being whether it
    is the masked one."""
    ways = sorted({(m.split, m.masked) for m in metrics}, key=lambda way: (way[0] != "test", way[1] != served))
    return [_section(split, masked, [m for m in metrics if (m.split, m.masked) == (split, masked)]) for split, masked in ways]


def _section(split: str, masked: bool, metrics: Sequence[MetricRow]) -> Section:
    points = {(m.model, m.metric, m.k): Point(m.k, m.value, m.low, m.high) for m in metrics if m.value is not None}
    keys = dict.fromkeys((m.metric, m.k) for m in metrics)
    compared = [Comparison(*key, points.get((OURS, *key)), points.get((POPULARITY, *key))) for key in keys]
    return Section(split, masked, metrics[0].users, tuple(compared))


def _refused(run: Run) -> dict[str, int]:
    if not run.can_read("quarantine"):
        return {}
    reasons = run.read("quarantine").select("source", F.explode("reasons").alias("reason"))
    counted = reasons.groupBy("source", "reason").count().orderBy(F.desc("count"), "source", "reason").collect()
    return {f"{row['source']}: {row['reason']}": row["count"] for row in counted}


def _served(run: Run, trained: Trained) -> dict[str, int]:
    if not run.can_read("recommendations"):
        return {}
    ours = run.read("recommendations").where((F.col("model_id") == trained.model_id) & (F.col("rank") == 1))
    newest = ours.agg(F.max("date")).collect()[0][0]
    counted = ours.where(F.col("date") == F.lit(newest)).groupBy("source").count().orderBy(F.desc("count")).collect()
    return {row["source"]: row["count"] for row in counted}
