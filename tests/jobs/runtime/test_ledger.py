import datetime as dt
import json

import pytest

from jobs.runtime import ledger
from jobs.runtime.days import Days
from jobs.runtime.ledger import Base, RunRow
from jobs.runtime.warehouse import Warehouse

DAY = dt.date(2026, 3, 1)


@pytest.fixture(scope="module")
def warehouse(spark, tmp_path_factory):
    """The ledger of one job a case, with no table but its own: the runs name none that must be where they left it."""
    return Warehouse(spark, str(tmp_path_factory.mktemp("ledger")))


def _ran(warehouse, job, *runs):
    for minute, (start, outputs, exit_code) in enumerate(runs):
        at = dt.datetime(2026, 3, 9, 8, minute, tzinfo=dt.UTC)
        arguments = json.dumps({"start": start, "end": start}, default=str)
        inputs = {"events": minute}
        ledger.record(warehouse, RunRow(f"{job}-{minute}", job, at, arguments, "hash", recipe="recipe", inputs=inputs,
                                        outputs=outputs, exit_code=exit_code))  # fmt: skip


def _base(warehouse, job, recipe):
    return ledger.base(warehouse, ledger.newest_runs(warehouse, job), recipe)


def test_a_run_goes_on_from_the_last_good_one_without_dates_and_knows_the_days_of_those_since(warehouse):
    _ran(warehouse, "a", (None, {}, 0), (None, {}, 0), (DAY, {}, 0), (DAY + dt.timedelta(2), {}, 3))
    assert _base(warehouse, "a", "recipe") == Base({"events": 1}, {}, Days.of([DAY, DAY + dt.timedelta(2)]))
    assert _base(warehouse, "a", "another recipe") is None


def test_after_a_run_that_wrote_and_failed_everything_is_built(warehouse):
    _ran(warehouse, "b", (None, {}, 0), (None, {}, 5))
    assert _base(warehouse, "b", "recipe") == Base({"events": 0}, {}, Days.of([]))
    left = {"runs": warehouse.version("runs") + 2}  # a table that is where the run left it, which writes its own two rows
    _ran(warehouse, "c", (None, {}, 0), (None, left, 5))
    assert warehouse.version("runs") == left["runs"]
    assert _base(warehouse, "c", "recipe") is None


def test_each_try_of_a_run_has_one_row_however_often_it_is_written(warehouse):
    tries = [RunRow("e-0", "e", dt.datetime(2026, 3, 9, 8, n, tzinfo=dt.UTC), "{}", "hash", exit_code=n) for n in (0, 10)]
    for row in (*tries, *tries):
        ledger.record(warehouse, row)
    assert [row["exit_code"] for row in ledger.newest_runs(warehouse, "e")] == [10, 0]


def test_where_no_run_had_all_days_there_is_nothing_to_go_on_from(warehouse):
    _ran(warehouse, "d", (DAY, {}, 0))
    assert _base(warehouse, "d", "recipe") is None
