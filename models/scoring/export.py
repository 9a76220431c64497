"""Export of a trained model to ONNX, refused unless the graphs compute what the model computes."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx import numpy_helper

from models.errors import ExportError
from models.inputs import CONTENT, HISTORY, ItemContent
from models.network.transformer import Recommender
from models.scoring.exported import CARD, ENCODER, ITEMS, VALUES, Exported
from models.signals.item_values import ItemValues
from models.signals.transitions import Transitions

OPSET = 17
TOLERANCE = 1e-4  # largest difference between graph and model that rounding explains

os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")  # it would copy the whole graph before each of its optimisations


def export_model(
    model: Recommender,
    content: ItemContent,
    transitions: Transitions,
    item_values: ItemValues,
    folder: str | Path,
    sample: dict[str, np.ndarray],
    card: dict,
    beat: Callable[[str], None] = lambda doing: None,
) -> None:
    """Writes encoder.onnx, items.onnx, values.onnx, transitions.npz, item_values.npz and card.json; the folder appears
    whole or not at all.

    encoder.onnx takes the tensors of models.inputs.HISTORY by name, and item_vectors (items, dim); its output is states
    (batch, length, dim). items.onnx takes ids (items,) and the tensors of models.inputs.CONTENT; its output is
    vectors (items, dim). values.onnx takes states and items, both (n, dim); its output is values (n,). Batch, length, items
    and n are free.

    Args:
        model: the trained model.
        content: the content of all items, for the check.
        transitions: what scores get on top.
        item_values: what values are told by beside values.onnx.
        folder: replaced if it is there.
        sample: real examples, the arrays of HISTORY, on which graph and model are compared.
        card: what to keep beside the graphs; sizes and config are added.
        beat: is told of each part before it begins; a graph takes seconds.
    Raises:
        ExportError: if the graphs differ from the model by more than TOLERANCE on the sample, or the sample is empty.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_drafts(folder)
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")  # beside it, so that the rename stays on one file system
    draft.mkdir()
    try:
        for file, output, graph in ((ENCODER, "states", _encoder), (ITEMS, "vectors", _items), (VALUES, "values", _values)):
            beat(f"export of {file}")
            _write_graph(draft / file, output, *graph(model))
        beat("check of the export")
        transitions.save(draft)
        item_values.save(draft)
        card = card | {"sizes": dataclasses.asdict(model.sizes), "config": model.config.model_dump()}
        _compare(model, Exported(draft, card), content, sample)
        (draft / CARD).write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _remove_drafts(folder: Path) -> None:
    """Those of earlier exports to the same folder, which were killed."""
    for left in [path for path in folder.parent.iterdir() if path.name.startswith(f".{folder.name}.")]:
        shutil.rmtree(left, ignore_errors=True)


def _encoder(model: Recommender) -> tuple[Callable[..., tf.Tensor], list[tf.TensorSpec]]:
    def states(*tensors: tf.Tensor) -> tf.Tensor:
        *history, item_vectors = tensors
        return model.states(dict(zip((i.name for i in HISTORY), history, strict=True)), item_vectors)

    signature = [tf.TensorSpec([None, None], i.dtype, name=i.name) for i in HISTORY]
    return states, [*signature, tf.TensorSpec([None, model.config.dim], tf.float32, name="item_vectors")]


def _items(model: Recommender) -> tuple[Callable[..., tf.Tensor], list[tf.TensorSpec]]:
    signature = [tf.TensorSpec([None, i.entries(1, model.sizes)], i.dtype, name=i.name) for i in CONTENT]
    return model.tower.call, [tf.TensorSpec([None], tf.int32, name="ids"), *signature]


def _values(model: Recommender) -> tuple[Callable[..., tf.Tensor], list[tf.TensorSpec]]:
    return model.values, [tf.TensorSpec([None, model.config.dim], tf.float32, name=name) for name in ("states", "items")]


def _write_graph(path: Path, output: str, function: Callable[..., tf.Tensor], signature: list[tf.TensorSpec]) -> None:
    traced = tf.function(function, autograph=False)
    graph, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=OPSET)
    _rename_output(graph.graph, output)
    onnx.save(graph, path)


def _rename_output(graph: onnx.GraphProto, name: str) -> None:
    """The converter names inputs as the function does, but outputs as TensorFlow does."""
    old = graph.output[0].name
    for node in graph.node:
        node.input[:] = [name if i == old else i for i in node.input]
        node.output[:] = [name if o == old else o for o in node.output]
    graph.output[0].name = name


def _compare(model: Recommender, exported: Exported, content: ItemContent, sample: dict[str, np.ndarray]) -> None:
    if len(sample["item_ids"]) == 0:
        raise ExportError("the sample must hold examples, or an export is compared with nothing. Received none.")
    vectors = model.item_vectors(content).numpy()
    history = {i.name: tf.constant(np.asarray(sample[i.name], i.dtype)) for i in HISTORY}
    _refuse_difference("vectors", exported.item_vectors(content), vectors)
    states = model.states(history, vectors).numpy()
    _refuse_difference("states", exported.states(sample, vectors), states)
    pairs = states.reshape(-1, states.shape[-1]), vectors[sample["item_ids"].ravel()]  # as good as any
    _refuse_difference("values", exported.values(*pairs), model.values(*map(tf.constant, pairs)).numpy())


def _refuse_difference(output: str, graph: np.ndarray, model: np.ndarray) -> None:
    difference = float(np.max(np.abs(graph - model)))
    if not difference < TOLERANCE:  # a NaN is refused too
        raise ExportError(
            f"the exported {output} must equal the model's to {TOLERANCE}. Received a difference of {difference}."
        )


def _publish(draft: Path, folder: Path) -> None:
    """Renames draft to folder; a reader meets the old export, the new one, or for an instant none."""
    old = draft.with_name(f"{draft.name}.old")
    if folder.exists():
        folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def weights_of(folder: str | Path) -> Counter[tuple[tuple[int, ...], bytes]]:
    """Every tensor of an export, bit for bit; not by name, which holds Keras's count of the layers of a process."""
    graphs = [onnx.load(Path(folder) / name).graph for name in (ENCODER, ITEMS, VALUES)]
    tensors = [numpy_helper.to_array(i) for graph in graphs for i in graph.initializer]
    transitions = Transitions.load(folder)
    tensors += [transitions.following, transitions.shares, np.array([transitions.weight, transitions.fading])]
    tensors += [np.asarray(value) for value in vars(ItemValues.load(folder)).values()]
    return Counter((tensor.shape, tensor.tobytes()) for tensor in tensors)
