"""What training does where the scenario leaves it open, by the size of the data."""

from __future__ import annotations

from collections.abc import Callable

from models.config import NEGATIVES, TrainingConfig

ITEMS = 50_000  # up to which the softmax runs over all of them; above, that would be most of the time of a step
TARGETS = 60_000_000  # that a run trains on, over all epochs
EPOCHS = (3, 30)  # that a run has at least and at most


def decided(training: TrainingConfig, items: int, targets: Callable[[], int], log: Callable[..., None]) -> TrainingConfig:
    """The section with a number of epochs and a softmax.

    Args:
        items: that can be recommended.
        targets: counts those of the training rows; called only where epochs are left open.
        log: gets a line for each key that was left open, with the reason.
    """
    epochs, loss = training.epochs, training.loss
    if epochs is None:
        count = targets()
        epochs = min(max(TARGETS // max(count, 1), EPOCHS[0]), EPOCHS[1])
        reason = f"{count} targets, of {TARGETS} in all, in {EPOCHS[0]} to {EPOCHS[1]} epochs"
        log("chosen", key="training.epochs", value=epochs, reason=reason)
    if loss.softmax is None:
        few = items <= ITEMS
        softmax = {"softmax": "full", "negatives": 0} if few else {"softmax": "sampled", "negatives": NEGATIVES}
        loss = loss.model_copy(update=softmax)
        reason = f"{items} items; all of up to {ITEMS} are told apart, of more {NEGATIVES} that are drawn"
        log("chosen", key="training.loss.softmax", value=loss.softmax, reason=reason)
    return training.model_copy(update={"epochs": epochs, "loss": loss})
