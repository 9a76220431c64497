"""What events, items and users must be, and what becomes of those that are not."""
