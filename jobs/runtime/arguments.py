"""The arguments that all jobs take."""

from __future__ import annotations

import argparse
import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jobs.runtime.dates import DateRange
from jobs.runtime.errors import ConfigError


@dataclass(frozen=True)
class Option:
    """An argument with a value that one job takes beside those of all jobs."""

    flag: str
    metavar: str
    help: str

    @property
    def name(self) -> str:
        return self.flag.removeprefix("--").replace("-", "_")


@dataclass(frozen=True)
class Arguments:
    config: str
    overrides: tuple[str, ...] = ()
    dates: DateRange | None = None  # the days of events that the run is about; None: everything
    dry_run: bool = False
    force: bool = False
    print_config: bool = False
    run_id: str = ""
    options: Mapping[str, str] = field(default_factory=dict)  # of the job's own, those that were given


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # argparse would exit by itself
        raise ConfigError(f"{self.prog}: {message}. See --help.")


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a day such as 2026-11-01. Received {text!r}") from None


def _new_run_id() -> str:
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


def parse(job: str, description: str, argv: Sequence[str] | None, options: Sequence[Option] = ()) -> Arguments:
    """Reads a job's command line.

    Raises:
        ConfigError: unknown or contradicting arguments.
    """
    parser = _Parser(job, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, metavar="FILE", help="the scenario, such as conf/sample.yaml")
    parser.add_argument("--date", type=_day, metavar="DAY", help="the one day of events that the run is about; default: all")
    parser.add_argument("--start", type=_day, metavar="DAY", help="first of several days")
    parser.add_argument("--end", type=_day, metavar="DAY", help="last of several days, today in UTC at the latest")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="overrides one key: model.dim=32")
    parser.add_argument("--dry-run", action="store_true", help="checks configuration and inputs, prints the plan")
    parser.add_argument("--force", action="store_true", help="runs even where the same run already ended well")
    parser.add_argument("--print-config", action="store_true", help="prints the whole configuration with its defaults")
    parser.add_argument("--run-id", default="", help="name of the run in the ledger and the logs; default: a new one")
    for option in options:
        parser.add_argument(option.flag, metavar=option.metavar, help=option.help)
    given = parser.parse_args(argv)
    if given.date and (given.start or given.end):
        raise ConfigError(f"{job}: --date excludes --start and --end.")
    start, end = given.date or given.start, given.date or given.end
    if (start is None) != (end is None):
        raise ConfigError(f"{job}: --start and --end go together.")
    if start and end and start > end:
        raise ConfigError(f"{job}: --start must not be after --end. Received {start} and {end}.")
    today = datetime.datetime.now(datetime.UTC).date()
    if end and end > today:
        raise ConfigError(f"{job}: the last day must not be after today, {today} in UTC. Received {end}.")
    return Arguments(
        config=given.config,
        overrides=tuple(given.set),
        dates=DateRange(start, end) if start and end else None,
        dry_run=given.dry_run,
        force=given.force,
        print_config=given.print_config,
        run_id=given.run_id or _new_run_id(),
        options={o.name: value for o in options if (value := getattr(given, o.name)) is not None},
    )
