"""Declared features: tiles of days, the windows over them, and the guard that they only look back."""
