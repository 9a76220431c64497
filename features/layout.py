"""Which rows of a table stand together in a file, and in which order."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_FILE_BYTES = 64 << 20  # of arrays before compression: several row groups, still one task's memory
_FEWEST_ROWS = 2_000  # a file has more, or is the only one of its partition
_POSITION_BYTES = 4 * 11  # the arrays of HISTORY and TARGETS, without user_features


def rows_per_file(length: int, features: int) -> int:
    """Examples of one length that fill a file."""
    return max(_FEWEST_ROWS, _FILE_BYTES // (length * (_POSITION_BYTES + 4 * features)))


def spread(examples: DataFrame, rows: dict[tuple[str, int], int], features: int) -> DataFrame:
    """Examples in the order and partitions in which they are to be written: each file a mix of all users.

    The order is that of a hash of the example's id, so it is the same in every build and has nothing to do with users or
    time: a stream that reads a file from its start sees users mixed.

    Args:
        examples: rows of `sequences`.
        rows: how many there are of each split and length.
        features: user features of one position.
    """
    files = {key: -(-n // rows_per_file(key[1], features)) for key, n in rows.items()}
    count = F.lit(1)
    for (split, length), n in files.items():
        count = F.when((F.col("split") == split) & (F.col("length") == length), n).otherwise(count)
    order = F.xxhash64("example_id")
    parts = max(sum(files.values()), 1)  # also where no user has two events
    placed = examples.withColumn("file", F.pmod(order, count)).repartition(parts, "split", "length", "file")
    return placed.sortWithinPartitions("split", "length", order, "example_id").drop("file")


def together(df: DataFrame, partition: str, *order: str) -> DataFrame:
    """The rows of one table partition in one file, in several where they are many: a file is opened once, not by each task.

    Args:
        order: columns by which the rows of a partition lie, so that a reader of one key reads a few pages of each file.
    """
    spread = df.hint("rebalance", F.col(partition))
    return spread.sortWithinPartitions(partition, *order) if order else spread
