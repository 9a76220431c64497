"""The workers of one training run, and the sum over them. A run without TF_CONFIG is a cluster of one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf


class Cluster:
    """Must be made before TensorFlow does anything else: collectives are configured at start only.

    index    this worker; 0 is the chief, which writes checkpoints and the export
    workers  how many there are
    """

    def __init__(self, timeout_seconds: float) -> None:
        task = worker_task()
        self.index, self.workers = task.index, task.workers
        self._timeout = timeout_seconds
        self.sum = self._reduction()

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def lanes(self, count: int) -> range:
        """The lanes of this worker, of `count` in all."""
        return range(self.index, count, self.workers)

    def _reduction(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The sum of a tensor over all workers; every worker must call it, with the same shape, in the same order."""
        if self.workers == 1:
            return tf.identity
        options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=self._timeout)
        strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)

        def reduce(value: tf.Tensor) -> tf.Tensor:
            # Without the identity TensorFlow takes the argument for a mirrored variable's and reduces nothing.
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(value), options)

        @tf.function
        def total(value: tf.Tensor) -> tf.Tensor:
            return strategy.run(reduce, args=(value,))

        return total


@dataclass(frozen=True)
class WorkerTask:
    """Where a worker stands: its index among all of so many workers, and among those of its machine."""

    index: int
    workers: int
    on_machine: int


def worker_task() -> WorkerTask:
    """Of this worker, as TF_CONFIG says.

    Raises:
        ValueError: TF_CONFIG is not what it must be.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return WorkerTask(0, 1, 0)
    try:
        config = json.loads(text)
        addresses, index = config["cluster"]["worker"], int(config["task"]["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"TF_CONFIG must be JSON with cluster.worker and task.index. Received {text!r}.") from error
    if not 0 <= index < len(addresses) or set(config["cluster"]) != {"worker"}:
        raise ValueError(f"TF_CONFIG must name workers only, and task.index must be one of them. Received {text!r}.")
    machines = [address.rpartition(":")[0] for address in addresses]
    return WorkerTask(index, len(addresses), machines[:index].count(machines[index]))
