"""Notes on a row in its map of further source columns: what cleaning has changed, and what stood there before."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F


def marked(name: str, key: str, text: Column) -> Column:
    """The map `name` with the entry `key`, instead of one that it may have."""
    others = F.map_filter(name, lambda k, _: k != F.lit(key))
    return F.map_concat(others, F.create_map(F.lit(key), text))
