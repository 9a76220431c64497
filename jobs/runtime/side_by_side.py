"""Parts of a job that know nothing of each other, at once: one computes while another plans or commits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession


def side_by_side(spark: SparkSession, parts: Sequence[Callable[[], None]]) -> None:
    """Runs every part in a thread of its own, each to its end; then raises the error of the first that failed."""
    with ThreadPoolExecutor(max(len(parts), 1)) as pool:
        running = [pool.submit(inheritable_thread_target(spark)(part)) for part in parts]
    for part in running:
        part.result()
