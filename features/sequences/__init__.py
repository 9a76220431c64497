"""Histories in order, split, encoded and cut to padded arrays."""
