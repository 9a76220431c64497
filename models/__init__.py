"""The Transformer, the stream that feeds it, its training and its export: no Spark."""
