"""The training run: losses, steps, workers, checkpoints, validation."""
