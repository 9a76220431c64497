import datetime

import pytest

from jobs.runtime.arguments import parse
from jobs.runtime.dates import DateRange
from jobs.runtime.errors import ConfigError


def test_a_date_is_a_range_of_one_day() -> None:
    given = parse("job", "", ["--config", "c", "--date", "2024-02-29"])
    assert given.dates == DateRange(datetime.date(2024, 2, 29), datetime.date(2024, 2, 29))


def test_every_run_has_a_name_of_its_own_unless_it_is_given_one() -> None:
    first, second = (parse("job", "", ["--config", "c"]).run_id for _ in range(2))
    assert first != second
    assert parse("job", "", ["--config", "c", "--run-id", "r1"]).run_id == "r1"


@pytest.mark.parametrize(
    ("argv", "rule"),
    [
        ([], "required: --config"),
        (["--config", "c", "--date", "2026-13-01"], "must be a day such as 2026-11-01. Received '2026-13-01'"),
        (["--config", "c", "--date", "2024-01-01", "--end", "2024-01-02"], "--date excludes --start and --end"),
        (["--config", "c", "--start", "2024-01-01"], "--start and --end go together"),
        (["--config", "c", "--start", "2024-01-02", "--end", "2024-01-01"], "--start must not be after --end"),
        (["--config", "c", "--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(argv: list[str], rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse("job", "", argv)
    assert rule in str(caught.value)


def test_a_day_that_has_not_begun_in_utc_is_refused() -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    assert parse("job", "", ["--config", "c", "--date", str(today)]).dates == DateRange(today, today)
    for last in (today + datetime.timedelta(days=2), datetime.date.max):
        with pytest.raises(ConfigError, match=f"the last day must not be after today.* Received {last}."):
            parse("job", "", ["--config", "c", "--start", "2024-01-01", "--end", str(last)])
