"""One file per spark-submit entry; each reads tables, calls a transform, writes tables."""
