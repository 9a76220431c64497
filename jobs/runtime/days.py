"""Sets of days, as ranges and as predicates."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jobs.runtime.dates import DateRange

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Days:
    """A set of days."""

    days: frozenset[datetime.date]

    @classmethod
    def of(cls, days: Iterable[datetime.date]) -> Days:
        return cls(frozenset(days))

    @classmethod
    def within(cls, dates: DateRange) -> Days:
        return cls.of(_numbered(dates.start.toordinal(), dates.end.toordinal()))

    def __or__(self, other: Days) -> Days:
        return Days(self.days | other.days)

    def __sub__(self, other: Days) -> Days:
        return Days(self.days - other.days)

    def __iter__(self) -> Iterator[datetime.date]:
        """In order."""
        return iter(sorted(self.days))

    def __len__(self) -> int:
        return len(self.days)

    def later(self, days: int) -> Days:
        """Every day that follows one of these by 1 to `days` days; up to the last that Python knows."""
        return self._moved(1, days)

    def earlier(self, days: int) -> Days:
        """Every day that precedes one of these by 1 to `days` days; from the first that Python knows."""
        return self._moved(-days, -1)

    def _moved(self, least: int, most: int) -> Days:
        """Every day that follows one of these by `least` to `most` days."""
        ranges = self.ranges() if least <= most else []
        return Days.of(day for r in ranges for day in _numbered(r.start.toordinal() + least, r.end.toordinal() + most))

    def ranges(self) -> list[DateRange]:
        """Each run of consecutive days, in order."""
        found: list[DateRange] = []
        for day in self:
            if found and day - found[-1].end == DAY:
                found[-1] = DateRange(found[-1].start, day)
            else:
                found.append(DateRange(day, day))
        return found

    def predicate(self, column: str = "date") -> str:
        """SQL for rows of these days; of none where there are no days."""
        return " OR ".join(f"({dates.predicate(column)})" for dates in self.ranges()) or "false"


def _numbered(first: int, last: int) -> Iterator[datetime.date]:
    """The days of these ordinals, both included, without those that are no dates."""
    return map(datetime.date.fromordinal, range(max(first, 1), min(last, datetime.date.max.toordinal()) + 1))
