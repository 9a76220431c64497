"""What a pipeline leaves behind, for people: rows, time, quality, and a look at the recommendations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from rich.table import Table as Grid

from features.tables import ITEMS, METRICS, MODELS, RECOMMENDATIONS, RUNS
from jobs.modelling.trained import newest_row
from jobs.runtime.config import Scenario
from jobs.runtime.warehouse import Warehouse
from models.evaluation import headline_cutoff

_OURS = "lakeformer"  # as `metrics` names it
_SPLITS = {"test": "Test split", "valid": "Validation split"}


def print_summary(spark: SparkSession, config: Scenario, jobs: Sequence[str]) -> None:
    """Prints the last good run of each of `jobs`, the scenario's model beside the others, and some recommendations."""
    warehouse = Warehouse(spark, config.warehouse, config.catalog)
    console = _console()
    console.print(_steps(warehouse.read(RUNS), jobs))
    model = newest_row(warehouse.read(MODELS), config.scoring.model_id)
    if model is None:
        return
    metrics, shown = (warehouse.read(t).where(F.col("model_id") == model["model_id"]) for t in (METRICS, RECOMMENDATIONS))
    for grid in (_quality(metrics, config.scoring.leaves_out_seen), _recommendations(shown, warehouse.read(ITEMS))):
        if grid.row_count:  # a model may have been trained and not judged
            console.print(grid)
    console.print(f"tables: {warehouse.root}\nreport: {warehouse.root}/_reports/{model['model_id']}/report.html")


def _console() -> Console:
    """As wide as a terminal, where there is one; a log keeps whole lines. Titles and paths are no markup of ours."""
    width: dict[str, Any] = {"soft_wrap": True} if Console().is_terminal else {"width": 120}
    return Console(markup=False, emoji=False, **width)


def _grid(title: str, *columns: str) -> Grid:
    grid = Grid(title=title, title_justify="left")
    for name in columns:
        grid.add_column(name, justify="left" if name in ("job", "metric", "item", "user", "source", "because of") else "right")
    return grid


def _steps(runs: DataFrame, jobs: Sequence[str]) -> Grid:
    grid = _grid("Jobs", "job", "seconds", "rows in", "rows out", "duplicate", "refused")
    last = {
        row["job"]: row
        for row in runs.where("exit_code = 0")
        .groupBy("job")
        .agg(F.max_by(F.struct(*runs.columns), "started_at").alias("run"))
        .select("run.*")
        .collect()
    }
    for job in (j for j in jobs if j in last):
        row = last[job]
        counts = (row[name] for name in ("rows_in", "rows_out", "rows_duplicate", "rows_refused"))
        grid.add_row(job, f"{row['seconds']:.1f}", *("" if n is None else f"{n:,}" for n in counts))
    return grid


def _quality(metrics: DataFrame, masked: bool) -> Grid:
    """The test split, or validation where no row is in it, at the cutoff that is told first."""
    shown = metrics.where("k > 0 AND metric IN ('hr', 'ndcg', 'coverage')").where(F.col("masked") == masked).collect()
    split = "test" if any(row["split"] == "test" for row in shown) else "valid"
    k = headline_cutoff([row["k"] for row in shown] or [0])
    values = {(r["metric"], r["model"]): r["value"] for r in shown if (r["split"], r["k"]) == (split, k)}
    others = sorted({model for _, model in values} - {_OURS})
    title = f"{_SPLITS[split]}, {'own history left out' if masked else 'all items ranked'}, at {k}"
    grid = _grid(title, "metric", _OURS, *others, "to the best other")
    for metric in ("ndcg", "hr", "coverage") if values else ():
        ours, *theirs = (values.get((metric, model)) for model in (_OURS, *others))
        best = max((v for v in theirs if v is not None), default=None)
        ratio = f"{ours / best:.2f}" if ours and best else ""
        grid.add_row(metric, *("" if v is None else f"{v:.4f}" for v in (ours, *theirs)), ratio)
    return grid


def _recommendations(recommendations: DataFrame, items: DataFrame) -> Grid:
    """Those as of the newest day."""
    grid = _grid("Some recommendations", "user", "rank", "item", "score", "source", "because of")
    named = items.select("item_id", F.coalesce("title", "item_id").alias("item"))
    because = named.select(F.col("item_id").alias("because_item_id"), F.col("item").alias("because"))
    day = recommendations.agg(F.max("date").alias("date"))
    newest = recommendations.join(F.broadcast(day), "date", "left_semi")
    # The first user by id of each source, so that a run prints the same again.
    users = newest.groupBy("source").agg(F.min("user_id").alias("user_id"))
    rows = (
        newest.where("rank <= 3").join(F.broadcast(users), ["source", "user_id"]).join(named, "item_id", "left")
        .join(because, "because_item_id", "left")
        .select("user_id", "rank", F.coalesce("item", "item_id").alias("item"), "score", "source", "because")
        .orderBy("source", "user_id", "rank").collect()
    )  # fmt: skip
    for row in rows:
        grid.add_row(row["user_id"], str(row["rank"]), row["item"], f"{row['score']:.3f}", row["source"], row["because"])
    return grid
