import datetime

import pytest

from jobs.runtime.arguments import parse
from jobs.runtime.errors import ConfigError


def test_a_date_is_a_range_of_one_day() -> None:
    given = parse("job", "", ["--config", "c", "--date", "2026-02-28"])
    assert given.start == given.end == datetime.date(2026, 2, 28)


def test_every_run_has_a_name_of_its_own_unless_it_is_given_one() -> None:
    first, second = (parse("job", "", ["--config", "c"]).run_id for _ in range(2))
    assert first != second
    assert parse("job", "", ["--config", "c", "--run-id", "r1"]).run_id == "r1"


@pytest.mark.parametrize(
    ("argv", "rule"),
    [
        ([], "required: --config"),
        (["--config", "c", "--date", "2026-13-01"], "must be a day such as 2026-11-01. Received '2026-13-01'"),
        (["--config", "c", "--date", "2026-01-01", "--end", "2026-01-02"], "--date excludes --start and --end"),
        (["--config", "c", "--start", "2026-01-01"], "--start and --end go together"),
        (["--config", "c", "--start", "2026-01-02", "--end", "2026-01-01"], "--start must not be after --end"),
        (["--config", "c", "--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(argv: list[str], rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse("job", "", argv)
    assert rule in str(caught.value)
