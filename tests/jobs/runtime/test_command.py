from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.runtime.arguments import Arguments
from jobs.runtime.command import run_command
from jobs.runtime.config import Scenario
from jobs.runtime.errors import ConfigError


@pytest.mark.parametrize(("error", "code"), [(ConfigError("no such schema"), 2), (RuntimeError("a defect"), 1)])
def test_whatever_a_command_raises_is_told_and_becomes_its_exit_code(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    def fail(spark: SparkSession, config: Scenario, given: Arguments) -> int:
        raise error

    config = tmp_path / "scenario.yaml"
    config.write_text("warehouse: w\nsource: {events: {path: x, columns: {user_id: u, item_id: i, event_time: t}}}")
    assert run_command("a_command", "", ["--config", str(config)], fail) == code
    said = capsys.readouterr().err
    assert str(error) in said and f'"exit_code": {code}' in said
