"""How many rows of each source became what, counted beside the writes, and the limits that the numbers keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from features.cleaning.duplicates import is_accepted
from features.errors import ContractError, NoInputError
from jobs.runtime.run import Run

_SHOWN = 200  # characters of a row in a message
KINDS = ("exact", "conflicting", "near")  # of duplicates


@dataclass
class Tally:
    """Rows of one source by what became of them."""

    rows: int = 0  # of the run's dates
    outside: int = 0  # of other dates, or of none in a run with dates
    refused: int = 0
    superseded: int = 0  # of items and users: a later day has them again
    reasons: Counter[str] = field(default_factory=Counter)  # a row with two reasons counts under both
    warnings: Counter[str] = field(default_factory=Counter)


class Counting:
    """Counts the rows of one source while they pass on their way into `quarantine`."""

    def __init__(self, run: Run, name: str) -> None:
        self.run, self.name = run, name
        self.seen: list[Observation] = []
        table = [c for c in run.config.clean.checks if c.table == name]
        self.warnings = sorted({c.reason for c in table if c.otherwise == "warn"})

    def watch(self, rows: DataFrame) -> DataFrame:
        observation = Observation()
        self.seen.append(observation)
        is_inside = inside(self.run) if "date" in rows.columns else F.lit(True)
        counts = [
            F.count_if(is_inside).alias("rows"),
            F.count_if(~is_inside).alias("outside"),
            F.count_if(is_inside & ~is_accepted()).alias("refused"),
        ]
        if self.name != "events":  # whose duplicates are counted on their way into the table
            counts.append(F.count_if(is_accepted() & F.col("duplicate").isNotNull()).alias("superseded"))
        if "warnings" in rows.columns:
            warned = [F.count_if(is_inside & F.array_contains("warnings", w)) for w in self.warnings]
            counts += [count.alias(f"warned {w}") for count, w in zip(warned, self.warnings, strict=True)]
        return rows.observe(observation, *counts)

    def tally(self) -> Tally:
        """After the write; the reasons are read from what was written."""
        found = Counter[str]()
        for observation in self.seen:
            found.update(observation.get)
        warnings = Counter({w: found[f"warned {w}"] for w in self.warnings if found[f"warned {w}"]})
        tally = Tally(found["rows"], found["outside"], found["refused"], found["superseded"], warnings=warnings)
        if tally.refused:
            rows = self.run.read("quarantine").where(F.col("source") == self.name)
            groups = (rows.where(inside(self.run)) if self.name == "events" else rows).groupBy("reasons").count()
            for reasons, count in groups.collect():
                tally.reasons.update(dict.fromkeys(reasons, count))
        self._record(tally)
        return tally

    def _record(self, tally: Tally) -> None:
        run, name = self.run, self.name
        run.count(f"{name}_rows", tally.rows)
        if tally.outside:
            run.count(f"{name}_outside_dates", tally.outside)
        if tally.superseded:
            run.count(f"{name}_duplicates_superseded", tally.superseded)
        for prefix, numbers in (("refused", tally.reasons), ("warned", tally.warnings)):
            for key, number in sorted(numbers.items()):
                run.count(f"{name}_{prefix}_{key}", number)
        run.log("counted", source=name, rows=tally.rows, refused=tally.refused, reasons=dict(tally.reasons))


class Repetitions:
    """Counts the repeated events of the run's dates while the others pass on their way into `events`."""

    def __init__(self, run: Run) -> None:
        self.run, self.observation = run, Observation()

    def watch(self, compared: DataFrame) -> DataFrame:
        repeated = inside(self.run) & is_accepted()
        return compared.observe(
            self.observation, *[F.count_if(repeated & (F.col("duplicate") == kind)).alias(kind) for kind in KINDS]
        )

    def record(self) -> int:
        """After the write: how many there were."""
        found = self.observation.get
        for kind in sorted(kind for kind in KINDS if found[kind]):
            self.run.count(f"events_duplicates_{kind}", found[kind])
        return sum(found.values())


def inside(run: Run) -> Column:
    """True: the row is of the run's days. In a run over everything that is every row, also one without a day."""
    return F.lit(True) if run.dates is None else F.expr(run.dates.predicate())


def count_imputed(run: Run, table: str, columns: list[str]) -> None:
    """Counts what was filled in a table that this run has written."""
    if not columns:
        return
    flags = run.read(table).agg(*[F.count_if(f"{column}_imputed").alias(column) for column in columns]).head()
    for column, number in flags.asDict().items() if flags else ():
        run.count(f"{table}_imputed_{column}", number)


def check_found(run: Run, name: str, tally: Tally) -> None:
    """Raises NoInputError where the source has no row of the run's days."""
    if tally.rows == 0:
        instead = "nothing" if tally.outside == 0 else f"{tally.outside} rows of other or no dates"
        raise NoInputError(f"{name}: there must be rows{_days(run, name)}. Found {instead} in {_path(run, name)}.")


def check_kept(run: Run, written: int) -> None:
    """Raises NoInputError where every event repeats one of another day."""
    if not written:
        found = f"Found only duplicates of rows of other dates in {_path(run, 'events')}."
        raise NoInputError(f"events: there must be rows{_days(run, 'events')}. {found}")


def check_refused(run: Run, name: str, tally: Tally) -> None:
    """Raises ContractError where too many rows were refused, or one by a check that must not fail."""
    broken = _broken_limit(run, name, tally)
    if broken is not None:
        found = f"Refused {tally.refused} of {tally.rows}: {dict(tally.reasons.most_common())}. See {run.path('quarantine')}."
        raise ContractError(" ".join([f"{name}: {broken}", found, *_examples(run, name), *ways_out(name, tally.reasons)]))


def _broken_limit(run: Run, name: str, tally: Tally) -> str | None:
    if tally.refused == tally.rows:
        return "every row was refused."
    limit = run.config.clean.max_refused
    if tally.refused > limit * tally.rows:
        return f"at most {limit:.1%} of the rows may be refused (clean.max_refused)."
    failing = {c.reason for c in run.config.clean.checks if c.otherwise == "fail" and c.table == name}
    failed = sorted(failing & tally.reasons.keys())
    return f"no row may break {', '.join(failed)} (clean.checks, otherwise: fail)." if failed else None


def _examples(run: Run, name: str) -> list[str]:
    """One refused row of each reason, the first by its text."""
    rows = run.read("quarantine").where(F.col("source") == name)
    each = (rows.where(inside(run)) if name == "events" else rows).select("raw", F.explode("reasons").alias("reason"))
    found = each.groupBy("reason").agg(F.min("raw").alias("raw")).orderBy("reason").collect()
    return [example_of(row["reason"], row["raw"]) for row in found]


def example_of(reason: str, raw: str) -> str:
    """A refused row in a message, at most some 200 characters of it."""
    return f"{reason}: such as {raw if len(raw) <= _SHOWN else raw[:_SHOWN] + '…'}."


def ways_out(name: str, reasons: Iterable[str]) -> list[str]:
    """What may be declared about the source `name` that it is not refused for these reasons, if there is such a key."""
    ways = {f"{key}_duplicate": f"source.{name}.repeats: last" for key in ("item_id", "user_id")}
    ways["outside_dates"] = "source.events.late_days, or a path without {date}"
    ways |= {f"{lists}_malformed": f"source.{name}.columns.{lists}.take: values" for lists in ("categories", "tags")}
    return [f"Against {reason}: {ways[reason]}." for reason in sorted(ways.keys() & set(reasons))]


def _days(run: Run, name: str) -> str:
    return f" from {run.dates}" if run.dates is not None and name == "events" else ""


def _path(run: Run, name: str) -> str:
    source = run.config.source.given[name]
    return f"{source.path} where {source.where}" if source.where else source.path
