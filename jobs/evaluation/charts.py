"""Charts of the report, as SVG that takes its colours from the page, so that one drawing serves light and dark."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure

# Stand-ins for the page's CSS variables: matplotlib knows fixed colours only.
_COLOURS = {"#010101": "var(--text)", "#020202": "var(--line)", "#030303": "var(--ours)", "#040404": "var(--theirs)"}
_TEXT, _LINE, _OURS, _THEIRS = _COLOURS
_STYLE = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "text.color": _TEXT, "axes.labelcolor": _TEXT,
    "xtick.color": _TEXT, "ytick.color": _TEXT, "axes.edgecolor": _LINE, "grid.color": _LINE,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """A value with its interval; None where there is none."""

    k: int
    value: float
    low: float | None
    high: float | None


def by_cutoff(title: str, series: Mapping[str, Sequence[Point]]) -> str:
    """A metric over cutoffs, a line per model with its 95 % interval: an <svg> element.

    Args:
        title: what the lines show; it also keeps the element's ids apart from those of other charts.
        series: points by name of the model, ours first.
    """
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": title}):
        figure = Figure(figsize=(4.6, 3.0), layout="constrained")
        axes = figure.add_subplot()
        for (name, points), colour, marker in zip(series.items(), (_OURS, _THEIRS), ("o", "s"), strict=False):
            at = [p.k for p in points]
            axes.plot(at, [p.value for p in points], color=colour, marker=marker, label=name, linewidth=2)
            low = [p.value if p.low is None else p.low for p in points]
            high = [p.value if p.high is None else p.high for p in points]
            axes.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.set_title(title, fontsize=11, loc="left")
        axes.set_xlabel("cutoff k")
        axes.set_xticks(sorted({p.k for points in series.values() for p in points}))
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", linewidth=0.6)
        axes.legend(frameon=False)
        return _svg(figure, title)


def _svg(figure: Figure, title: str) -> str:
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = drawn.getvalue()
    svg = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
    for stand_in, variable in _COLOURS.items():
        svg = svg.replace(stand_in, variable)
    return svg
