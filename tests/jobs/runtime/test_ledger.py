import datetime as dt
import json

import pytest
from pyspark.sql import Row

from jobs.runtime import ledger
from jobs.runtime.days import Days
from jobs.runtime.ledger import Base, RunRow
from jobs.runtime.warehouse import Warehouse

DAY = dt.date(2026, 3, 1)


def _runs(*runs):
    """What newest_runs tells of runs that are given from the oldest on: first day, outputs and exit code of each."""
    return [
        Row(
            recipe="recipe",
            arguments=json.dumps({"start": day, "end": day}, default=str),
            inputs={"events": n},
            outputs=outputs,
            exit_code=exit_code,
        )
        for n, (day, outputs, exit_code) in enumerate(runs)
    ][::-1]


def _base(runs, recipe="recipe", dated=False, now=()):
    """`now` are the versions of the tables as they are."""
    return ledger.base(runs, recipe, lambda name, version: dict(now).get(name) == version, dated)


def test_a_run_goes_on_from_the_last_good_one_and_knows_the_runs_with_dates_since_the_last_without():
    later = DAY + dt.timedelta(2)
    runs = _runs((DAY, {}, 0), (None, {}, 0), (DAY, {}, 0), (later, {}, 0), (None, {}, 4))
    assert _base(runs) == Base(({"events": 3},), {}, Days.of([DAY, later]))
    assert _base(runs, "another recipe") is None


def test_a_run_without_dates_starts_anew_after_more_runs_with_dates_than_it_looks_at(monkeypatch):
    runs = _runs((None, {}, 0), (DAY, {}, 0), (DAY, {}, 0))
    assert _base(runs) is not None
    monkeypatch.setattr(ledger, "_LOOKED_AT", 2)
    assert _base(runs[:2]) is None
    assert _base(runs[:2], dated=True) is not None


def test_after_a_run_that_wrote_and_failed_the_tables_are_of_what_it_read_too():
    runs = _runs((None, {"days": 1}, 0), (DAY, {"days": 2}, 5), (None, {}, 5))
    base = _base(runs, now={"days": 2})
    assert base == Base(({"events": 0}, {"events": 1}), {"days": 2}, Days.of([DAY]))
    assert not base.is_whole


@pytest.mark.parametrize("now", [{"days": 3}, {}])
def test_where_somebody_else_has_written_or_removed_the_tables_there_is_nothing_to_go_on_from(now):
    assert _base(_runs((None, {"days": 2}, 0)), now=now) is None


def test_where_no_run_was_good_there_is_nothing_to_go_on_from():
    assert _base(_runs((None, {}, 3))) is None


def test_other_declarations_are_told_from_another_code_by_the_last_run_that_wrote():
    built, other_code, other = (ledger.recipe_of(*of) for of in (("a", "x"), ("a", "y"), ("b", "x")))
    assert not ledger.is_declared_otherwise([], built)
    runs = [Row(recipe=recipe, exit_code=code, outputs={}) for recipe, code in ((other, 3), (built, 0), (other, 0))]
    assert not ledger.is_declared_otherwise(runs, built)
    assert not ledger.is_declared_otherwise(runs, other_code)
    assert ledger.is_declared_otherwise(runs, other)


def test_each_try_of_a_run_has_one_row_however_often_it_is_written_and_the_newest_are_looked_at(spark, tmp_path, monkeypatch):
    warehouse = Warehouse(spark, str(tmp_path))
    tries = [RunRow("e-0", "e", dt.datetime(2026, 3, 9, 8, n, tzinfo=dt.UTC), "{}", "hash", exit_code=n) for n in (0, 10)]
    for row in (*tries, *tries, RunRow("f-0", "f", dt.datetime(2026, 3, 9, 9, tzinfo=dt.UTC), "{}", "hash")):
        ledger.record(warehouse, row)
    assert [row["exit_code"] for row in ledger.newest_runs(warehouse, "e")] == [10, 0]
    monkeypatch.setattr(ledger, "_LOOKED_AT", 1)
    assert [row["exit_code"] for row in ledger.newest_runs(warehouse, "e")] == [10]
