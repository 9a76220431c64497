"""How the parts of an embedding come together: a sum in which each part is weighed by a learned gate.

A gate looks at all parts, so a part can count for much in one place and for little in another. Gates start at 1, which
makes the plain sum, and lie between 0 and 2.

Reference: Hu et al. 2018, section 3, https://arxiv.org/abs/1709.01507, of which this is the one layer that gates
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from models.network.layers import INIT_STDDEV, Composite, dense, derive
from models.network.trace import Trace

LARGEST = 20.0  # z-scores: one wrong price must neither outweigh all else in a loss nor lead everyone's recommendations


def limited(numbers: tf.Tensor) -> tf.Tensor:
    """Those beyond LARGEST as it; of one shape."""
    return tf.clip_by_value(numbers, -LARGEST, LARGEST)


def _gates(layer: keras.layers.Dense, x: tf.Tensor) -> tf.Tensor:
    return 2.0 * tf.sigmoid(layer(x))


def _gate_dense(gates: int, seed: int) -> keras.layers.Dense:
    return dense(gates, seed, "gates", stddev=0.0)


class Fusion(Composite):
    """Parts of one width, each times its gate, summed; without `gated` the plain sum."""

    def __init__(self, gated: bool, parts: int, seed: int, name: str = "fusion") -> None:
        super().__init__(name=name)
        self.gates = _gate_dense(parts, derive(seed, name)) if gated and parts > 1 else None

    def call(self, parts: Mapping[str, tf.Tensor], trace: Trace | None = None) -> tf.Tensor:
        """(n, dim) from the named parts, each (n, dim), the same ones in each call."""
        tensors = list(parts.values())
        total = tf.add_n(tensors)
        if self.gates is None:
            return total
        gates = _gates(self.gates, total)  # (n, parts)
        if trace is not None:
            for name, gate in zip(parts, tf.unstack(gates, len(tensors), axis=1), strict=True):
                trace.put(name, gate)  # (n,)
        return tf.add_n([gate * part for gate, part in zip(tf.split(gates, len(tensors), axis=1), tensors, strict=True)])


class GatedNumbers(Composite):
    """A vector from numbers, each projected by itself and weighed by its gate; without `gated` all gates are 1."""

    def __init__(self, gated: bool, numbers: int, dim: int, seed: int, name: str, use_bias: bool = True) -> None:
        super().__init__(name=name)
        own = derive(seed, name)
        self.gates = _gate_dense(numbers, own) if gated else None
        self.projection = dense(dim, own, "projection", INIT_STDDEV, use_bias=use_bias)

    def call(self, numbers: tf.Tensor, trace: Trace | None = None) -> tf.Tensor:
        """(n, numbers) float32, 0 where unknown, to (n, dim). Numbers beyond LARGEST count as it does."""
        numbers = limited(numbers)
        if self.gates is None:
            return self.projection(numbers)
        gates = _gates(self.gates, numbers)  # (n, numbers)
        if trace is not None:
            for i, gate in enumerate(tf.unstack(gates, numbers.shape[1], axis=1)):
                trace.put(str(i), gate)  # (n,)
        return self.projection(gates * numbers)
