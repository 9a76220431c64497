"""What is trained where the scenario does not say."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.training.defaults import decided
from models.config import TrainingConfig


def no_log(step: str, **fields: object) -> None:
    """Forgets."""


@pytest.mark.parametrize(
    ("targets", "epochs"),
    [(0, 30), (988_000, 30), (2_000_000, 30), (2_000_001, 29), (6_000_000, 10), (20_000_000, 3), (10**9, 3)],
)
def test_epochs_are_sixty_million_targets_in_all_but_three_at_least_and_thirty_at_most(targets: int, epochs: int) -> None:
    assert decided(TrainingConfig(), 10, lambda: targets, no_log).epochs == epochs


@pytest.mark.parametrize(
    ("items", "softmax", "negatives"), [(3_416, "full", 0), (50_000, "full", 0), (50_001, "sampled", 1024)]
)
def test_above_fifty_thousand_items_a_target_is_told_apart_from_a_thousand(items: int, softmax: str, negatives: int) -> None:
    loss = decided(TrainingConfig(), items, lambda: 0, no_log).loss
    assert (loss.softmax, loss.negatives) == (softmax, negatives)


def test_what_a_scenario_declares_is_kept_and_nothing_is_counted() -> None:
    declared = TrainingConfig.model_validate({"epochs": 5, "loss": {"softmax": "gbce", "negatives": 9}})
    assert decided(declared, 10**6, lambda: pytest.fail("was counted"), lambda *_, **__: pytest.fail("was told")) == declared


def test_what_was_chosen_is_told_with_the_reason() -> None:
    told: list[dict[str, Any]] = []
    decided(TrainingConfig(), 70_000, lambda: 30_000_000, lambda step, **fields: told.append({"step": step, **fields}))
    assert [(line["step"], line["key"], line["value"]) for line in told] == [
        ("chosen", "training.epochs", 3),
        ("chosen", "training.loss.softmax", "sampled"),
    ]
    assert told[0]["reason"].startswith("30000000 targets") and told[1]["reason"].startswith("70000 items")
