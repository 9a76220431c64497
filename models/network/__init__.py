"""The Transformer, from its smallest layers to the whole."""
