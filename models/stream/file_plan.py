"""Which rows each lane reads, in which order, in how many steps: decided from row counts and a seed, before a row is read.

A lane is a fixed part of every batch. Workers share the lanes, so the batches do not depend on how many workers there are.
The rows of one length bucket, files in seeded order, form one virtual sequence; it is cut into equal contiguous parts, one a
lane. Every lane has the same number of steps in every bucket, so that no collective waits for a worker that has run dry.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from models.errors import StreamError
from models.stream.delta_log import TableFile, file_order


@dataclass(frozen=True)
class Part:
    """Rows [start, stop) of one file, counted after its rows were permuted. `order`: the file's place in its bucket."""

    file: TableFile
    order: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class EpochPlan:
    """One epoch.

    parts   length bucket -> lane -> what the lane reads, in order
    steps   the length bucket of each step
    batch   length bucket -> rows that one lane gives to one of its steps
    """

    seed: int
    epoch: int
    lanes: int
    batch: Mapping[int, int]
    parts: Mapping[int, tuple[tuple[Part, ...], ...]]
    steps: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows of the epoch, over all lanes."""
        return sum(part.rows for lanes in self.parts.values() for lane in lanes for part in lane)

    def batches_before(self, step: int) -> Counter[int]:
        """How many batches of each length bucket the steps before `step` have taken."""
        return Counter(self.steps[:step])

    def parts_from(self, length: int, lane: int, batches: int) -> tuple[Part, ...]:
        """What is left of a lane's parts after so many batches of the bucket."""
        skip, left = batches * self.batch[length], []
        for part in self.parts[length][lane]:
            start = min(part.start + skip, part.stop)
            skip -= start - part.start
            if start < part.stop:
                left.append(Part(part.file, part.order, start, part.stop))
        return tuple(left)


def plan_epoch(
    files: Iterable[TableFile],
    *,
    seed: int,
    epoch: int,
    lanes: int,
    batch_size: int,
    batch_positions: int | None = None,
) -> EpochPlan:
    """The plan of one epoch over `files` (of one split), the same for the same arguments.

    Args:
        files: with partition `length`, the length bucket.
        batch_size: rows of one step over all lanes; a multiple of `lanes`.
        batch_positions: positions of one step over all lanes instead, as near as whole rows of each lane come.
    """
    if batch_size % lanes:
        raise ValueError(f"batch_size must be a multiple of lanes. Received batch_size={batch_size}, lanes={lanes}.")
    batch, parts, steps = {}, {}, []
    for length, bucket in sorted(_buckets(files).items()):
        order = generator(seed, epoch, length).permutation(len(bucket))
        parts[length] = _cut([bucket[i] for i in order], lanes)
        longest = max(sum(part.rows for part in lane) for lane in parts[length])
        batch[length] = batch_size // lanes
        if batch_positions is not None:  # and no more rows than there are, since what is missing is filled up
            batch[length] = min(max(batch_positions // (length * lanes), 1), longest)
        steps += [length] * -(-longest // batch[length])
    shuffled = generator(seed, epoch).permutation(np.array(steps, dtype=np.int64))
    return EpochPlan(seed, epoch, lanes, batch, parts, tuple(int(length) for length in shuffled))


def generator(*numbers: int) -> np.random.Generator:
    """Random numbers that depend on `numbers` alone; negative ones are allowed."""
    return np.random.default_rng([n % 2**32 for n in numbers])


def _buckets(files: Iterable[TableFile]) -> dict[int, list[TableFile]]:
    buckets = defaultdict(list)
    for file in files:
        if "length" not in file.partitions:
            raise StreamError(f"{file.uri}: the table must be partitioned by length. Partitions: {sorted(file.partitions)}.")
        if file.rows:
            buckets[int(file.partitions["length"])].append(file)
    return {length: sorted(bucket, key=file_order) for length, bucket in buckets.items()}


def _cut(files: list[TableFile], lanes: int) -> tuple[tuple[Part, ...], ...]:
    """The virtual sequence of all rows of `files`, cut into `lanes` contiguous parts whose sizes differ by one row at most."""
    total = sum(f.rows for f in files)
    bounds = [lane * total // lanes for lane in range(lanes + 1)]
    cut: list[list[Part]] = [[] for _ in range(lanes)]
    first = 0
    for order, file in enumerate(files):
        for lane in range(lanes):
            start, stop = max(bounds[lane], first), min(bounds[lane + 1], first + file.rows)
            if start < stop:
                cut[lane].append(Part(file, order, start - first, stop - first))
        first += file.rows
    return tuple(tuple(lane) for lane in cut)
