"""The training run: steps, workers, checkpoints, validation."""
