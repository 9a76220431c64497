import datetime as dt
import itertools

from hypothesis import given
from hypothesis import strategies as st

from jobs.runtime.days import DAY, Days

FIRST = dt.date(2020, 2, 20)
days = st.frozensets(st.integers(0, 30).map(lambda n: FIRST + n * DAY)).map(Days)


@given(days)
def test_ranges_hold_the_days_and_no_other_and_do_not_touch(some):
    ranges = some.ranges()
    assert [d for start, end in ranges for d in sorted(Days.span(start, end).days)] == sorted(some.days)
    assert all(later[0] - earlier[1] > DAY for earlier, later in itertools.pairwise(ranges))


@given(days, st.integers(0, 5))
def test_later_and_earlier_are_the_days_within_reach(some, reach):
    around = Days.span(FIRST - 10 * DAY, FIRST + 40 * DAY).days
    assert some.later(reach).days == {d for d in around if any(1 <= (d - day).days <= reach for day in some.days)}
    assert some.earlier(reach).days == {d for d in around if any(1 <= (day - d).days <= reach for day in some.days)}


def test_a_predicate_names_each_range_once():
    some = Days.span(dt.date(2020, 2, 28), dt.date(2020, 3, 1)) | Days.of([dt.date(2020, 3, 5)])
    assert some.predicate() == (
        "(date >= DATE'2020-02-28' AND date <= DATE'2020-03-01') OR (date >= DATE'2020-03-05' AND date <= DATE'2020-03-05')"
    )
    assert Days.of(()).predicate() == "false"
