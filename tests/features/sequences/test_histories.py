"""Where targets stand in the histories of their users, for sequences as build_sequences cuts them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from pyspark.sql import SparkSession

from features.sequences.config import SequencesConfig, Split
from features.sequences.histories import histories, seen_items, with_history
from features.sequences.sequences import keep_types, training_examples
from features.sequences.splits import with_split
from features.sequences.steps import UserFeatures
from features.sequences.vocabularies import UNKNOWN, Vocabularies

START = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
ITEMS = {f"i{n}": n + 2 for n in range(5)}
# The views stand in the history, though only buys enter sequences; i9 is in no vocabulary.
ANN = ["i0 buy", "i1 view", "i1 buy", "i2 buy", "i0 buy", "i9 view", "i3 buy", "i4 buy"]
LOG = [("ann", n, *done.split()) for n, done in enumerate(ANN)]
LOG += [("ann|test|1", n, item, "buy") for n, item in enumerate(["i3", "i0", "i9", "i1"])]
SPLITS = {
    "leave_one_out": Split(),
    "global_time": Split(by="global_time", valid_from=datetime.date(2026, 3, 3), test_from=datetime.date(2026, 3, 5)),
}


def _events(spark: SparkSession) -> Any:
    rows = [(f"{u}-{n}", u, item, kind, None, START + datetime.timedelta(days=n), 0) for u, n, item, kind in LOG]
    names = (
        "event_id string, user_id string, item_id string, event_type string, value double, event_time timestamp, tie_order int"
    )
    return spark.createDataFrame(rows, names).selectExpr("*", "to_date(event_time) AS date")


@pytest.mark.parametrize("by", SPLITS)
def test_a_target_stands_after_everything_its_user_did_before(spark: SparkSession, by: str) -> None:
    config = SequencesConfig(max_length=2, min_length=2, event_types=("buy",), split=SPLITS[by])
    events, items = _events(spark), spark.createDataFrame(list(ITEMS.items()), "item_id string, index int")
    users = spark.createDataFrame([], "user_id string, index int")
    labels = spark.createDataFrame([("event_type", "buy", 2)], "column string, label string, index int")
    statistics = spark.createDataFrame(
        [], "owner string, column string, `group` string, statistic string, number double, label string, fitted_until timestamp"
    )
    features = UserFeatures(spark.createDataFrame([], "user_id string, date date"), (), ())
    cut = with_split(keep_types(events, config), config.split)
    rows = training_examples(cut, features, Vocabularies(items, users, labels), statistics, config)
    found = with_history(rows, histories(events, items, config), config).collect()
    targets = {}
    for row in found:
        for place in (p for p in range(row["events"]) if row["weights"][p] > 0):
            targets[row["user_id"], row["target_at"][place]] = (row["targets"][place], row["history"])
    for user in {u for u, *_ in LOG}:
        whole = [ITEMS.get(item, UNKNOWN) for u, _, item, _ in LOG if u == user]
        bought = [n for u, n, _, kind in LOG if u == user and kind == "buy"]
        for n in bought[1:]:  # every purchase but the first is the target of one example
            assert targets.pop((user, n)) == (whole[n], whole)
    assert not targets


def test_seen_are_the_known_items_once_each(spark: SparkSession) -> None:
    items = spark.createDataFrame(list(ITEMS.items()), "item_id string, index int")
    found = {row["user_id"]: row["seen"] for row in seen_items(_events(spark), items).collect()}
    assert found == {"ann": [2, 3, 4, 5, 6], "ann|test|1": [2, 3, 5]}
