"""Row groups of Parquet files as Arrow tables, read ahead by petastorm.

Of petastorm this keeps the reader: its plan of row groups, its threads, its bounded queue. What it makes of a row group is
left out: it turns each row of each column into an array and stacks them again, which takes longer than to read the file, and
nulls into numbers of another type, without a word. And its threads sleep longer: it has each look a thousand times a second
whether it is still wanted, which for ten length buckets takes a sixth of a core away from training.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa
from petastorm.arrow_reader_worker import ArrowReaderWorker
from petastorm.fs_utils import FilesystemResolver, get_filesystem_and_path_or_paths
from petastorm.reader import Reader
from petastorm.workers_pool import EmptyResultError, thread_pool

AHEAD = 2  # row groups that wait to be taken
SLEEP_SECONDS = 0.05

thread_pool.IO_TIMEOUT_INTERVAL_S = SLEEP_SECONDS  # whatever is put into a queue ends the sleep at once


class _AsTheyAre:
    """Hands on what the worker has read."""

    batched_output = True

    def read_next(self, workers_pool: Any, schema: Any, ngram: Any) -> pa.Table:
        try:
            return workers_pool.get_results()
        except EmptyResultError as error:
            raise StopIteration from error


class _Worker(ArrowReaderWorker):
    def process(self, *args: Any, **row_group: Any) -> None:
        if row_group:
            super().process(*args, **row_group)

    @staticmethod
    def new_results_queue_reader() -> _AsTheyAre:
        return _AsTheyAre()


class _Pool(thread_pool.ThreadPool):
    def stop(self) -> None:
        super().stop()
        self.ventilate()  # no row group: wakes the thread, which finds that it is no longer wanted

    def join(self) -> None:
        """Takes what is read and not wanted any more until the threads end: one that hands on an error waits for its place in
        the queue without a look at whether it is still wanted."""
        for worker in self._workers:
            while worker.is_alive():
                with suppress(queue.Empty):
                    self._results_queue.get_nowait()
                worker.join(SLEEP_SECONDS)
        super().join()


def open_row_groups(uris: Sequence[str], columns: Sequence[str]) -> Reader:
    """An iterator over the row groups of files, in order, each a table of those of `columns` that petastorm can read. It has
    threads: `stop` and `join` end them."""
    if any("://" in uri for uri in uris):
        filesystem, paths = get_filesystem_and_path_or_paths(list(uris))
    else:  # as an address, a path would end at a # or ?
        filesystem, paths = FilesystemResolver("file:///").filesystem(), list(uris)
    return Reader(
        filesystem,
        paths,
        schema_fields=list(columns),
        worker_class=_Worker,
        # One worker: with more, the order of the row groups would depend on who is faster.
        reader_pool=_Pool(1, AHEAD),
        shuffle_row_groups=False,
        num_epochs=1,
        is_batched_reader=True,
    )
