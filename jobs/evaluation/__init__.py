"""What evaluate_model consists of: judging on the executors, and the report."""
