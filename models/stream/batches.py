"""The batches of each step of an epoch, prepared while the step before runs."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Generic, TypeVar

from models.inputs import Sizes
from models.stream.file_plan import EpochPlan
from models.stream.stream import Batch, LaneReader

T = TypeVar("T")
_END = object()


def lane_batches(plan: EpochPlan, lanes: Sequence[int], sizes: Sizes, first_step: int = 0) -> Generator[tuple[Batch, ...]]:
    """For each step from `first_step` on, one batch for each of `lanes`, in their order.

    Raises:
        StreamError: rows, types or lengths other than the log and the contract say.
    """
    taken = plan.batches_before(first_step)
    left = plan.batches_before(len(plan.steps)) - taken
    with ExitStack() as open_readers:
        readers = {  # all at once, so that each reads ahead while others are asked
            length: [open_readers.enter_context(LaneReader(plan, length, lane, sizes, batches=taken[length])) for lane in lanes]
            for length in dict.fromkeys(plan.steps[first_step:])
        }
        for length in plan.steps[first_step:]:
            batches = tuple(reader.next_batch() for reader in readers[length])
            left[length] -= 1
            if not left[length]:
                for reader in readers[length]:
                    reader.finish()
            yield batches


class Prefetched(Generic[T]):
    """Iterates over what `make()` iterates over, one or two elements ahead, in a thread of its own.

    `waited` is how many seconds the consumer has spent waiting. An exception of the producer is raised at the consumer.
    """

    def __init__(self, make: Callable[[], Generator[T]], ahead: int = 2):
        self.waited = 0.0
        self._queue: queue.Queue[object] = queue.Queue(maxsize=ahead)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._produce, args=(make,), daemon=True, name="prefetch")
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while True:
            start = time.perf_counter()
            element = self._queue.get()
            self.waited += time.perf_counter() - start
            if element is _END:
                if self._error is not None:
                    raise self._error
                return
            yield element  # type: ignore[misc]

    def close(self) -> None:
        """Ends the producer and lets it close what it has open."""
        self._stop.set()
        self._thread.join()

    def _produce(self, make: Callable[[], Generator[T]]) -> None:
        try:
            with closing(make()) as elements:
                for element in elements:
                    if not self._put(element):
                        return
        except Exception as error:  # handed to the consumer
            self._error = error
        self._put(_END)

    def _put(self, element: object) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(element, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
