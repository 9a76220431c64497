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


def _base(warehouse, job, recipe, dated=False):
    return ledger.base(warehouse, ledger.newest_runs(warehouse, job), recipe, dated)


def test_a_run_goes_on_from_the_last_good_one_and_knows_the_runs_with_dates_since_the_last_without(warehouse):
    later = DAY + dt.timedelta(2)
    _ran(warehouse, "a", (DAY, {}, 0), (None, {}, 0), (DAY, {}, 0), (later, {}, 0), (None, {}, 4))
    assert _base(warehouse, "a", "recipe") == Base(({"events": 3},), {}, Days.of([DAY, later]))
    assert _base(warehouse, "a", "another recipe") is None


def test_a_run_without_dates_starts_anew_after_more_runs_with_dates_than_it_looks_at(warehouse, monkeypatch):
    _ran(warehouse, "g", (None, {}, 0), (DAY, {}, 0), (DAY, {}, 0))
    assert _base(warehouse, "g", "recipe") is not None
    monkeypatch.setattr(ledger, "_LOOKED_AT", 2)
    assert _base(warehouse, "g", "recipe") is None
    assert _base(warehouse, "g", "recipe", dated=True) is not None


def test_after_a_run_that_wrote_and_failed_the_tables_are_of_what_it_read_too(warehouse):
    left = {"runs": warehouse.version("runs") + 3}  # a table that is where the run left it, which writes its own three rows
    _ran(warehouse, "b", (None, {}, 0), (DAY, left, 5), (None, {}, 5))
    assert warehouse.version("runs") == left["runs"]
    base = _base(warehouse, "b", "recipe")
    assert base == Base(({"events": 0}, {"events": 1}), left, Days.of([DAY]))
    assert not base.is_whole


def test_where_somebody_else_has_written_the_tables_there_is_nothing_to_go_on_from(warehouse):
    _ran(warehouse, "c", (None, {"runs": warehouse.version("runs")}, 0))  # its own row is one more version
    assert _base(warehouse, "c", "recipe") is None


def test_other_declarations_are_told_from_another_code_by_the_last_run_that_wrote(warehouse):
    built, other_code, other = (ledger.recipe_of(*of) for of in (("a", "x"), ("a", "y"), ("b", "x")))
    assert not ledger.is_declared_otherwise([], built)
    for minute, (recipe, exit_code) in enumerate([(other, 0), (built, 0), (other, 3)]):
        at = dt.datetime(2026, 3, 9, 8, minute, tzinfo=dt.UTC)
        ledger.record(warehouse, RunRow(f"f-{minute}", "f", at, "{}", "hash", recipe=recipe, exit_code=exit_code))
    runs = ledger.newest_runs(warehouse, "f")
    assert not ledger.is_declared_otherwise(runs, built)
    assert not ledger.is_declared_otherwise(runs, other_code)
    assert ledger.is_declared_otherwise(runs, other)


def test_each_try_of_a_run_has_one_row_however_often_it_is_written(warehouse):
    tries = [RunRow("e-0", "e", dt.datetime(2026, 3, 9, 8, n, tzinfo=dt.UTC), "{}", "hash", exit_code=n) for n in (0, 10)]
    for row in (*tries, *tries):
        ledger.record(warehouse, row)
    assert [row["exit_code"] for row in ledger.newest_runs(warehouse, "e")] == [10, 0]


def test_where_no_run_was_good_there_is_nothing_to_go_on_from(warehouse):
    _ran(warehouse, "d", (None, {}, 3))
    assert _base(warehouse, "d", "recipe") is None
