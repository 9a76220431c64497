"""What people read: HTML pages, and the summary of a pipeline."""
