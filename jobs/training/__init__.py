"""What train_model is made of: its inputs, workers in a barrier stage and their logs, and replays."""
