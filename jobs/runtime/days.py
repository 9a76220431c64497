"""Sets of days, as ranges and as predicates."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
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
        return cls.of(start + n * DAY for n in range((end - start).days + 1))

    def __or__(self, other: Days) -> Days:
        return Days(self.days | other.days)

    def __len__(self) -> int:
        return len(self.days)

    def later(self, days: int) -> Days:
        """Every day that follows one of these by 1 to `days` days."""
        return Days.of(day + n * DAY for day in self.days for n in range(1, days + 1))

    def earlier(self, days: int) -> Days:
        """Every day that precedes one of these by 1 to `days` days."""
        return Days.of(day - n * DAY for day in self.days for n in range(1, days + 1))

    def ranges(self) -> list[tuple[datetime.date, datetime.date]]:
        """First and last day of each run of consecutive days, in order."""
        found: list[tuple[datetime.date, datetime.date]] = []
        for day in sorted(self.days):
            if found and day - found[-1][1] == DAY:
                found[-1] = (found[-1][0], day)
            else:
                found.append((day, day))
        return found

    def predicate(self, column: str = "date") -> str:
        """SQL for rows of these days; of none where there are no days."""
        return " OR ".join(f"({between(column, *r)})" for r in self.ranges()) or "false"
