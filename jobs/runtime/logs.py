"""JSON lines on stderr: one object per step, for people with `jq` and for log collectors."""

from __future__ import annotations

import datetime
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class JsonLog:
    """Writes lines that all carry the same fields, such as run_id and job."""

    def __init__(self, **fields: object) -> None:
        self.fields = fields

    def write(self, step: str, **fields: object) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, **self.fields, "step": step, **fields}, default=str)
        sys.stderr.write(f"{line}\n")  # in one piece, as other threads write lines, too
        sys.stderr.flush()

    @contextmanager
    def step(self, name: str, **fields: object) -> Iterator[dict[str, Any]]:
        """Times a step and writes its line at the end; what the block adds to the yielded dict goes into the line."""
        more: dict[str, Any] = {}
        start = time.monotonic()
        yield more
        self.write(name, seconds=round(time.monotonic() - start, 3), **fields, **more)
