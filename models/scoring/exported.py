"""An exported model on ONNX Runtime: numpy in, numpy out. Needs neither TensorFlow nor Keras, so executors start fast."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime

from models.errors import ExportError
from models.inputs import CONTENT, HISTORY, ItemContent
from models.signals import item_values, transitions
from models.signals.item_values import ItemValues
from models.signals.transitions import Transitions

ENCODER, ITEMS, VALUES, CARD = "encoder.onnx", "items.onnx", "values.onnx", "card.json"
FILES = (CARD, ENCODER, ITEMS, VALUES, transitions.FILE, item_values.FILE)
ITEMS_AT_ONCE = 50_000  # that go through the tower: it holds a vector of each label of each item


class Exported:
    """The user encoder, the item tower and the rating head of one trained model.

    Attributes:
        card: what the model is: sizes, config, and whatever its trainer added, such as model_id and table versions.
        transitions: what its scores get on top of the products of vectors.
        item_values: what values are told by beside `values`.
    """

    def __init__(self, folder: Path, card: dict, threads: int = 1) -> None:
        self.card, self.transitions, self.item_values = card, Transitions.load(folder), ItemValues.load(folder)
        self._encoder = _session(folder / ENCODER, threads)
        self._items = _session(folder / ITEMS, threads)
        self._values = _session(folder / VALUES, threads)

    @classmethod
    def load(cls, folder: str | Path, threads: int = 1) -> Self:
        """Opens an export.

        Args:
            folder: where `models.export.export_model` wrote it.
            threads: of one product; 1 where Spark runs a task on every core.
        Raises:
            ExportError: if there is no complete export in the folder.
        """
        folder = Path(folder)
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise ExportError(f"{folder}: an exported model has {', '.join(FILES)}. Received no {', '.join(missing)}.")
        return cls(folder, json.loads((folder / CARD).read_text(encoding="utf-8")), threads)

    def item_vectors(self, content: ItemContent) -> np.ndarray:
        """The vectors of all items, (items, dim) float32."""
        inputs = {"ids": content.ids, **{i.name: np.asarray(getattr(content, i.name), i.dtype) for i in CONTENT}}
        starts = range(0, len(content.ids), ITEMS_AT_ONCE)
        blocks = ({name: rows[start : start + ITEMS_AT_ONCE] for name, rows in inputs.items()} for start in starts)
        return np.concatenate([_run(self._items, block) for block in blocks])

    def states(self, history: dict[str, np.ndarray], item_vectors: np.ndarray) -> np.ndarray:
        """The user's vector at each position, (batch, length, dim) float32; meaningless at padding.

        Args:
            history: the arrays of models.inputs.HISTORY, each (batch, entries); user_features may be
                (batch, length, features) too. More are ignored.
            item_vectors: (items, dim) float32, of `item_vectors`.
        """
        inputs = {i.name: _flat(np.asarray(history[i.name], i.dtype)) for i in HISTORY}
        return _run(self._encoder, inputs | {"item_vectors": np.asarray(item_vectors, np.float32)})

    def values(self, states: np.ndarray, items: np.ndarray) -> np.ndarray:
        """What the rating head says: the value (z-score) that each user would give each item, (n,) float32, from their
        vectors, both (n, dim).

        Of a model trained with `like_from`, whose card has a `like_score`, the logit of the probability that it is at least
        that.
        """
        return _run(self._values, {"states": np.asarray(states, np.float32), "items": np.asarray(items, np.float32)})


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _flat(array: np.ndarray) -> np.ndarray:
    """(batch, length, features) to (batch, length * features); two axes stay as they are, without examples too."""
    return array.reshape(len(array), math.prod(array.shape[1:]))


def _run(session: onnxruntime.InferenceSession, inputs: dict[str, np.ndarray]) -> np.ndarray:
    (output,) = session.run(None, inputs)
    return output
