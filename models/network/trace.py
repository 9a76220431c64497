"""What a forward pass can tell beside its result: attention weights and gates."""

from __future__ import annotations

import tensorflow as tf


class Trace:
    """Collects named tensors while layers run. A pass that is given none keeps nothing."""

    def __init__(self, prefix: str = "", found: dict[str, tf.Tensor] | None = None) -> None:
        self.prefix = prefix
        self.found: dict[str, tf.Tensor] = {} if found is None else found

    def put(self, name: str, tensor: tf.Tensor) -> None:
        self.found[f"{self.prefix}{name}"] = tensor


def under(trace: Trace | None, name: str) -> Trace | None:
    """The same trace for a part: what it puts is named name/..."""
    return None if trace is None else Trace(f"{trace.prefix}{name}/", trace.found)
