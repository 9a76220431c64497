"""Which values are likes."""

from __future__ import annotations

from typing import Any


def is_like(actual: Any, like_score: float) -> Any:
    """Of z-scores, an array or a tensor, whether each is at least `like_score`, but for what float32 rounds off."""
    return actual >= like_score - 1e-5
