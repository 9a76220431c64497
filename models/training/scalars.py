"""Curves that TensorBoard draws: `tensorboard --logdir <warehouse>/_training`. To write them does not need it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework.summary_pb2 import Summary
from tensorflow.core.util.event_pb2 import Event

_VERSION = Event(file_version="brain.Event:2")  # how a file of events must begin


class Scalars:
    """Appends to a file of events of its own in `folder`, which the first write makes."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._writer: tf.io.TFRecordWriter | None = None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """One point of each curve, at `step`; on disk when this returns."""
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            # A process has a file of its own: one that goes on after a kill may find the last record of the old one cut off.
            self._writer = tf.io.TFRecordWriter(str(self._folder / f"events.out.tfevents.{time.time_ns()}"))
            self._writer.write(_VERSION.SerializeToString())
        points = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=points))
        self._writer.write(event.SerializeToString())
        self._writer.flush()
