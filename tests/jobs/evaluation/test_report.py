"""The page of the report, from data made up here."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from jobs.evaluation.charts import Point, by_cutoff
from jobs.evaluation.report import render
from jobs.evaluation.report_data import Comparison, Report, Section
from jobs.evaluation.showcase import Example

VOID = {"meta", "path", "use"}


def _section(split: str = "test", masked: bool = True) -> Section:
    rows = [Comparison("ndcg", k, Point(k, 0.2, 0.1, 0.3), Point(k, 0.1, 0.05, 0.15)) for k in (5, 10)]
    coverage = Comparison("coverage", 10, Point(10, 0.5, None, None), Point(10, 0.0, None, None))
    return Section(split, masked, 1234, (*rows, coverage))


REPORT = Report(
    name="shop", model_id="abc", card={"seed": "1"}, gates={"event_embedding/gap": 1.25},
    versions={"events": 3}, packages={"numpy": "1.26"}, config='{"dim": 8}',
    sections=[_section(), _section("valid", masked=False)], refused={"events: user_id_missing": 1200}, served={"model": 9},
    examples=[Example("u1", ["<b>Old</b>", "Tea & cake"], ["Wanted"], ["Other", "Wanted"], ["Hit <script>alert(1)</script>"])],
)  # fmt: skip


class _Balance(HTMLParser):
    """Collects tags that are opened and not closed, or the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open and self.open.pop() == tag


def test_the_page_is_well_formed_with_one_heading() -> None:
    page, parser = render(REPORT), _Balance()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    assert page.count("<h1") == 1 and '<html lang="en">' in page


def test_what_comes_from_data_is_escaped() -> None:
    page = render(REPORT)
    assert "&lt;b&gt;Old&lt;/b&gt;" in page and "Tea &amp; cake" in page and "<script" not in page


def test_the_item_that_came_next_is_marked() -> None:
    assert '<li class="hit">Wanted ✓ came next</li>' in render(REPORT)


def test_numbers_stand_beside_popularitys() -> None:
    page = " ".join(render(REPORT).split())
    assert '<div class="number">0.2000</div> <div class="against">popularity 0.1000 <span class="ratio">× 2.0</span>' in page
    assert "events: user_id_missing</th><td>1,200</td>" in page
    assert re.search(r"Coverage@10</th><td>0\.5000</td><td>0\.0000</td><td>–</td>", page)  # no ratio to nothing


def test_gates_stand_in_the_card() -> None:
    assert "<dt>event_embedding/gap</dt><dd>1.250</dd>" in render(REPORT)
    assert "listens to" not in render(replace(REPORT, gates={}))


def test_without_examples_quarantine_and_recommendations_the_page_still_stands() -> None:
    page = render(replace(REPORT, examples=[], refused={}, served={}))
    assert "No raw row is in quarantine." in page and "<article" not in page


def test_a_chart_takes_its_colours_from_the_page_and_draws_the_same_twice() -> None:
    lines = {"ours": [Point(5, 0.1, None, None), Point(10, 0.2, 0.1, 0.3)], "theirs": [Point(5, 0.0, 0.0, 0.1)]}
    svg = by_cutoff("NDCG", lines)
    assert svg == by_cutoff("NDCG", lines)
    assert "var(--ours)" in svg and "var(--theirs)" in svg and "#0" not in svg and "<metadata" not in svg
