"""What evaluate_model is made of: what was held back, judging on the executors, and the report."""
