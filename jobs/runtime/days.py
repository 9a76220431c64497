"""Sets of days, as ranges and as predicates."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jobs.runtime.warehouse import between

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Days:
    """A set of days."""

    days: frozenset[datetime.date]

    @classmethod
    def of(cls, days: Iterable[datetime.date]) -> Days:
        return cls(frozenset(days))

    @classmethod
    def span(cls, start: datetime.date, end: datetime.date) -> Days:
        """The days from `start` to `end`, both included."""
        return cls.of(_numbered(start.toordinal(), end.toordinal()))

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
        return Days.of(day for a, b in ranges for day in _numbered(a.toordinal() + least, b.toordinal() + most))

    def ranges(self) -> list[tuple[datetime.date, datetime.date]]:
        """First and last day of each run of consecutive days, in order."""
        found: list[tuple[datetime.date, datetime.date]] = []
        for day in self:
            if found and day - found[-1][1] == DAY:
                found[-1] = (found[-1][0], day)
            else:
                found.append((day, day))
        return found

    def predicate(self, column: str = "date") -> str:
        """SQL for rows of these days; of none where there are no days."""
        return " OR ".join(f"({between(column, *r)})" for r in self.ranges()) or "false"


def _numbered(first: int, last: int) -> Iterator[datetime.date]:
    """The days of these ordinals, both included, without those that are no dates."""
    return map(datetime.date.fromordinal, range(max(first, 1), min(last, datetime.date.max.toordinal()) + 1))
