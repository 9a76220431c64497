"""The exported model, and what it is to score with it."""
