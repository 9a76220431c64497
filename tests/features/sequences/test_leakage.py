"""Each kind of leak is put into sequences that are right otherwise, and is found by name."""

import datetime as dt

import pytest

from features.errors import LeakageError
from features.sequences.config import Split
from features.sequences.leakage import check_events, check_examples, check_statistics
from features.sequences.order import start_of
from features.tables import STATISTICS
from tests.features.rows import at

AS_OF = dt.date(2020, 1, 21)
GLOBAL_TIME = Split(by="global_time", valid_from=dt.date(2020, 1, 5), test_from=dt.date(2020, 1, 8))
RIGHT = {"last": at(3), "target": at(4), "first": at(4), "disordered": 0}


def _examples(spark, *rows):
    schema = "example_id string, user_id string, split string, last_time timestamp, target_time timestamp, "
    schema += "first_target_time timestamp, disordered bigint"
    values = []
    for n, row in enumerate(rows):
        r = RIGHT | row
        values.append((f"u|{r['split']}|{n}", "u", r["split"], r["last"], r["target"], r["first"], r["disordered"]))
    return spark.createDataFrame(values, schema)


TRAIN, VALID = {"split": "train"}, {"split": "valid", "last": at(4), "target": at(6), "first": at(6)}
TEST = {"split": "test", "last": at(6), "target": at(9), "first": at(9)}


def test_examples_that_look_back_pass(spark):
    examples = _examples(spark, TRAIN, VALID, TEST)
    check_examples(examples, GLOBAL_TIME, start_of(AS_OF))
    check_examples(examples, Split(), start_of(AS_OF))


@pytest.mark.parametrize(
    ("leak", "message"),
    [
        (TRAIN | {"disordered": 1}, r"sequences: an event must come before its target.*last_time=2020-01-03.*u\|train\|0"),
        (TRAIN | {"last": at(4, 1)}, r"must not be later than the last target.*last_time=2020-01-04 01"),
        (TRAIN | {"target": at(21)}, r"a target must lie in the days of the run.*target_time=2020-01-21"),
        (TRAIN | {"target": at(5)}, r"train must come before valid_from=2020-01-05.*target_time=2020-01-05"),
        (VALID | {"first": at(4, 23)}, r"valid must not come before valid_from.*first_target_time=2020-01-04 23"),
        (VALID | {"target": at(8)}, r"train and valid must come before test_from.*target_time=2020-01-08"),
        (TEST | {"first": at(7)}, r"test must not come before test_from=2020-01-08.*first_target_time=2020-01-07"),
    ],
)
def test_an_example_that_breaks_a_rule_is_named(spark, leak, message):
    with pytest.raises(LeakageError, match=message):
        check_examples(_examples(spark, leak), GLOBAL_TIME, start_of(AS_OF))


def test_a_training_target_after_the_users_validation_is_found(spark):
    examples = _examples(spark, TRAIN | {"target": at(7)}, VALID)
    with pytest.raises(LeakageError, match=r"train target must not be later than valid.*newest_train=2020-01-07.*user_id=u"):
        check_examples(examples, Split(), start_of(AS_OF))


def test_an_event_in_two_splits_is_found(spark):
    events = spark.createDataFrame(
        [("a", "train", at(1)), ("b", "train", at(2)), ("b", "test", at(9))],
        "event_id string, split string, event_time timestamp",
    )
    check_events(events.where("event_id = 'a'"))
    with pytest.raises(LeakageError, match=r"events: an event must be in one split only.*at=2020-01-09.*event_id=b"):
        check_events(events)


def test_statistics_fitted_after_the_training_period_are_found(spark):
    rows = [("items", "price", "", "mean", 1.0, None, None), ("sequences", "value", "", "mean", 1.0, None, at(5))]
    statistics = spark.createDataFrame(rows, STATISTICS.schema)
    check_statistics(statistics, start_of(dt.date(2020, 1, 5)))
    with pytest.raises(LeakageError, match=r"statistics: .*fitted_until=2020-01-05.*sequences\.value\.mean"):
        check_statistics(statistics, start_of(dt.date(2020, 1, 5)) - 1)
