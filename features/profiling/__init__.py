"""What features are like, which of them are kept, and how far they drift."""
