"""From which z-score on a value is liked."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import DataFrame

from features.scaling import z_scores
from jobs.runtime.errors import ConfigError
from models.config import LossConfig


def like_score(loss: LossConfig, statistics: Callable[[], DataFrame]) -> float | None:
    """The z-score of `like_from`; None where none is declared, and then `statistics` are not read.

    Raises:
        ConfigError: the source has no values to like by.
    """
    if loss.like_from is None:
        return None
    score = z_scores(statistics(), "sequences").get("value")
    if score is None or score.std == 0:
        raise ConfigError(
            "training.loss.like_from: needs source.events.value: explicit and values that differ. "
            f"Received {loss.like_from} without such values."
        )
    return (loss.like_from - score.mean) / score.std
