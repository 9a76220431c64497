"""What jobs around the model share: the declared content, the trained model, and its way to executors."""
