"""The Transformer, from its smallest layers to the whole, and what it is trained to minimise."""
