"""From one version of a Delta table to batches, exactly as planned."""
