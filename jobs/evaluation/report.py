"""The report of an evaluation, as one page."""

from __future__ import annotations

from markupsafe import Markup

from jobs.evaluation.charts import by_cutoff
from jobs.evaluation.judging import OURS, POPULARITY
from jobs.evaluation.report_data import Comparison, Report, Section
from jobs.pages import render as pages
from models.evaluation import headline_cutoff

_PLOTTED = {"ndcg": "NDCG", "hr": "Hit rate", "coverage": "Coverage of the catalogue"}
_NAMES = {
    "hr": "Hit rate", "recall": "Recall", "precision": "Precision", "ndcg": "NDCG", "mrr": "MRR", "accuracy": "Accuracy",
    "coverage": "Coverage", "rmse": "RMSE of values", "mae": "Mean error of values", "like_accuracy": "Likes told right",
}  # fmt: skip


def render(report: Report) -> str:
    """The page."""
    first = report.sections[0]
    return pages.render(
        "report.html.j2",
        report=report,
        first=first,
        charts=_charts(first),
        headline=_headline(first),
        names=_NAMES,
        ours=OURS,
        theirs=POPULARITY,
    )


def _charts(section: Section) -> list[Markup]:
    series = {title: section.series(metric) for metric, title in _PLOTTED.items()}
    return [Markup(by_cutoff(title, lines)) for title, lines in series.items() if lines]  # noqa: S704  # drawn by us


def _headline(section: Section) -> dict[str, Comparison | None]:
    k = headline_cutoff(c.k for c in section.comparisons if c.k)
    return {f"{_NAMES[metric]}@{k}": section.find(metric, k) for metric in ("ndcg", "hr", "coverage")}
