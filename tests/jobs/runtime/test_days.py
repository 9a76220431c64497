import datetime as dt
import itertools

from hypothesis import given
from hypothesis import strategies as st

from jobs.runtime.dates import DateRange
from jobs.runtime.days import DAY, Days

FIRST = dt.date(2020, 2, 20)


def _span(start, end):
    return Days.within(DateRange(start, end))


days = st.frozensets(st.integers(0, 30).map(lambda n: FIRST + n * DAY)).map(Days)


@given(days)
def test_ranges_hold_the_days_and_no_other_and_do_not_touch(some):
    ranges = some.ranges()
    assert [d for dates in ranges for d in Days.within(dates)] == list(some) == sorted(some.days)
    assert all(later.start - earlier.end > DAY for earlier, later in itertools.pairwise(ranges))


@given(days, st.integers(0, 5))
def test_later_and_earlier_are_the_days_within_reach(some, reach):
    around = _span(FIRST - 10 * DAY, FIRST + 40 * DAY).days
    assert some.later(reach).days == {d for d in around if any(1 <= (d - day).days <= reach for day in some.days)}
    assert some.earlier(reach).days == {d for d in around if any(1 <= (day - d).days <= reach for day in some.days)}


@given(days, days)
def test_one_set_without_another_has_the_days_that_only_it_has(some, others):
    assert set(some - others) == {d for d in some if d not in others.days}


def test_years_within_reach_of_years_end_where_dates_do():
    years = _span(dt.date(1, 1, 2), dt.date(50, 1, 1))
    assert years.earlier(36_500) == _span(dt.date(1, 1, 1), dt.date(49, 12, 31))
    assert years.later(36_500) == _span(dt.date(1, 1, 3), dt.date(50, 1, 1) + 36_500 * DAY)
    assert _span(dt.date(9999, 12, 30), dt.date.max).later(7) == Days.of([dt.date.max])


def test_a_predicate_names_each_range_once():
    some = _span(dt.date(2020, 2, 28), dt.date(2020, 3, 1)) | Days.of([dt.date(2020, 3, 5)])
    assert some.predicate() == (
        "(date >= DATE'2020-02-28' AND date <= DATE'2020-03-01') OR (date >= DATE'2020-03-05' AND date <= DATE'2020-03-05')"
    )
    assert Days.of(()).predicate() == "false"
