"""A range of days, such as those that a run is about."""

from __future__ import annotations

import datetime
from dataclasses import dataclass


@dataclass(frozen=True)
class DateRange:
    """The days from `start` to `end`, both included."""

    start: datetime.date
    end: datetime.date

    def __str__(self) -> str:
        return f"{self.start} to {self.end}"

    def predicate(self, column: str = "date") -> str:
        """SQL for rows of these days."""
        return f"{column} >= DATE'{self.start.isoformat()}' AND {column} <= DATE'{self.end.isoformat()}'"
