"""Raw data: where it is, and from its text to typed values."""
