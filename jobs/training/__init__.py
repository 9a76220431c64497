"""What train_model is made of."""
