"""Run every job of the scenario, in order, in one Spark session.

Each job is skipped where its configuration, code, inputs and outputs are those of its last good run, so a pipeline that
failed goes on where it stopped when the same command is given again. The first job that fails ends the pipeline with its
exit code. The summary at the end goes to stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pyspark.sql import SparkSession

from jobs import build_features, build_sequences, clean_events, evaluate_model, profile_features, score_users, train_model
from jobs.pages.summary import print_summary
from jobs.runtime.arguments import Arguments
from jobs.runtime.command import run_command
from jobs.runtime.config import Scenario
from jobs.runtime.errors import TRANSIENT

STEPS = (
    clean_events.JOB,
    build_features.JOB,
    profile_features.JOB,
    build_sequences.JOB,
    train_model.JOB,
    score_users.JOB,
    evaluate_model.JOB,
)


def execute(spark: SparkSession, config: Scenario, given: Arguments) -> int:
    """Runs the steps until one fails; returns its exit code, or 0.

    Raises:
        ConfigError: one of the steps cannot run by this configuration, so none does.
    """
    for step in STEPS:
        step.new_run(spark, config, given)  # refuses what the last job would refuse after hours of the others
    for step in STEPS:
        code = step.execute(spark, config, given)
        if code:
            after = " once that is mended" if code != TRANSIENT else ""
            print(f"run_pipeline: {step.name} ended with {code}. The same command goes on from there{after}.", file=sys.stderr)
            return code
    if not given.dry_run:
        print_summary(spark, config, [step.name for step in STEPS])
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return run_command("run_pipeline", __doc__ or "", argv, execute)


if __name__ == "__main__":
    sys.exit(main())
