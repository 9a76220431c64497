import re
from html.parser import HTMLParser

import pytest

from features.trailing.dictionary import Entry
from jobs.profiling.dictionary import Described, render, sparkline

ENTRY = Entry(
    "price_sum_7d", "double", "Spent <b>", "sum of price", "euro", "0: none", (("items file.cost",), ("items.price",))
)
SHOWN = Described(ENTRY, "sequences.user_features", "", ["2020-01", "2020-02"], [1.0, 3.0], [0.25, 0.5])
LEFT_OUT = Described(ENTRY, "", "2 different values", [], [], [])


def _text(page):
    found = []
    parser = HTMLParser()
    parser.handle_data = lambda data: found.append(data.strip())
    parser.feed(page)
    return " ".join(part for part in found if part)


def test_a_page_says_what_a_feature_is_and_where_it_comes_from():
    text = _text(render("shop", {"user_features": [SHOWN], "item_features": []}))
    for part in ("Spent <b>", "Formula sum of price", "Unit euro", "0: none", "50.0 %", "2020-01 to 2020-02"):
        assert part in text
    assert "items file.cost → items.price → sequences.user_features" in text
    assert "item_features No feature is declared." in text


def test_a_feature_that_the_model_does_not_see_says_why():
    text = _text(render("shop", {"user_features": [LEFT_OUT]}))
    assert "Left out 2 different values" in text
    assert "sequences.user_features" not in text


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ([1.0, 3.0, 2.0], ["3.0,25.0 60.0,3.0 117.0,14.0"]),
        ([1.0, None, 2.0], ["3.0,25.0 3.0,25.0", "117.0,3.0 117.0,3.0"]),
        ([2.0, 2.0], ["3.0,14.0 117.0,14.0"]),
        ([None, None], []),
    ],
)
def test_a_sparkline_goes_from_the_least_to_the_greatest_value_and_breaks_where_there_is_none(values, lines):
    assert re.findall(r'points="([^"]+)"', sparkline("mean", values)) == lines
