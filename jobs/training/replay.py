"""Trains a model again from its card, and finds the same weights or says how many are others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from features.errors import ContractError, NoInputError
from jobs.modelling.trained import export_name, newest_row
from jobs.runtime.run import Run
from jobs.runtime.version import code_version, package_versions
from jobs.training.likes import like_score
from jobs.training.workers import threads, train
from models.config import ModelConfig, TrainingConfig
from models.inputs import Sizes
from models.stream.delta_log import table_files
from models.training.lock import alone
from models.training.spec import PinnedTable, TrainSpec

DECISIVE = ("sequences", "item_content", "item_transitions", "item_values")  # the tables whose rows decide the model
DEVICE, THREADS = "device", "threads"  # of each worker, that a model was trained on: they stand among the packages of its row


def replay(run: Run, model_id: str) -> None:
    """Rebuilds the weights of a row of `models` in a folder of its own, which goes once they are found to be the same.

    Raises:
        WorkerError: a worker died or stalled, or another replay of the model is at work.
        NoInputError: there is no such model.
        ContractError: an earlier version trained it, VACUUM has taken a version that it was trained on, or the weights are
            others.
    """
    card = _card(run, model_id)
    unknown = [name for name in DECISIVE if name not in card["inputs"]]
    if unknown:
        raise ContractError(f"models: {model_id} is of an earlier version, which did not pin {', '.join(unknown)}.")
    for name in DECISIVE:
        table_files(run.mounted(name), card["inputs"][name])  # refuses what VACUUM has taken, before hours of training
    changed = _changed(card)
    if changed:
        run.log("replay_differs", changed=changed)
    spec = _spec(run, card)
    with alone(Path(f"{spec.folder}.lock")):
        _compare(run, card, spec, changed)


def _compare(run: Run, card: dict[str, Any], spec: TrainSpec, changed: list[str]) -> None:
    """Trains by the spec and compares the weights with those of the row; its folder goes once they are the same."""
    model_id = card["model_id"]
    if Path(str(spec.export)).exists():  # of a replay that came to its end: this one is to train, not to find it trained
        shutil.rmtree(spec.folder)
    result = train(run, spec)
    from models.scoring.export import weights_of  # noqa: PLC0415  # it imports TensorFlow, which no other driver needs

    expected, found = weights_of(run.mounted(export_name(model_id))), weights_of(str(spec.export))
    different, whole = (expected - found).total(), expected.total()
    run.count("train_rows", result.rows)
    run.count("weights_different", different)
    before, now = card["packages"].get(DEVICE), result.device
    if before not in (now, None):  # earlier versions did not say
        changed.append(f"the device went from {before} to {now}")
    run.log("replay", model_id=model_id, weights=whole, different=different)
    if different:
        why = f" Since then {', '.join(changed)}." if changed else " Code, packages, device, threads and inputs are the same."
        raise ContractError(
            f"models: {model_id} must have the same weights when it is trained again. Received {different} of {whole} tensors "
            f"that differ; the new ones are in {spec.export}.{why}"
        )
    print(f"{model_id}: {whole} tensors of weights are the same, bit for bit.")
    shutil.rmtree(spec.folder)


def _card(run: Run, model_id: str) -> dict[str, Any]:
    row = newest_row(run.newest("models"), model_id) if run.exists("models") else None
    if row is None:
        raise NoInputError(f"models: the warehouse holds no model {model_id}, so there is nothing to train again.")
    return row.asDict()


def _changed(card: dict[str, Any]) -> list[str]:
    """What the card pins and this installation cannot go back to, each as a phrase; the device is known once it has trained."""
    now, code = package_versions(), code_version()
    others = {n: v for n, v in sorted(card["packages"].items()) if n not in (DEVICE, THREADS) and now.get(n) != v}
    packages = [f"{n} went from {v} to {now.get(n)}" for n, v in others.items()]
    return [*([f"the code went from {card['code_version']} to {code}"] if card["code_version"] != code else []), *packages]


def _spec(run: Run, card: dict[str, Any]) -> TrainSpec:
    sections, folder = json.loads(card["config"]), run.mounted(f"_replays/{card['model_id']}")
    training = TrainingConfig.model_validate(sections["training"])
    pinned = {name: PinnedTable(path=run.mounted(name), version=card["inputs"][name]) for name in DECISIVE}
    return TrainSpec(
        model_id=card["model_id"],
        **pinned,
        model=ModelConfig.model_validate(sections["model"]),
        training=training,
        sizes=Sizes(**card["sizes"]),
        names={},  # they change no weights
        folder=folder,
        export=f"{folder}/export",
        versions=card["inputs"],
        like_score=like_score(training.loss, lambda: run.warehouse.read(run.table("statistics"), card["inputs"]["statistics"])),
        threads=int(card["packages"].get(THREADS, threads(run, training.workers))),  # earlier versions did not say
    )
