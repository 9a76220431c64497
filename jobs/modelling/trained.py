"""Which model a run uses, and whether the tables of today are still those that it was trained on."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from features.content.config import has_categories
from features.content.encoding import user_content
from features.content.fitted import Fitted
from features.content.labels import label_names
from features.content.numbers import number_names
from features.errors import ContractError, NoInputError
from features.scaling import z_scores
from features.trailing.tables import logarithmic_features, model_features
from jobs.modelling.contents import encoded, item_contents
from jobs.modelling.shipping import private_folder
from jobs.runtime.config import Scenario
from jobs.runtime.files import fetch
from jobs.runtime.run import Run
from models.errors import ExportError
from models.inputs import CONTENT, FIRST, ItemContent
from models.scoring.exported import FILES, Exported
from models.scoring.scorer import known_content
from models.signals.likeness import Likeness, ranked_rows
from models.stream.columns import matrix


@dataclass(frozen=True)
class Trained:
    """A row of `models` with its export.

    `folder` is a copy on this machine.
    """

    row: Row
    folder: Path
    exported: Exported

    @property
    def model_id(self) -> str:
        return str(self.row["model_id"])

    @property
    def inputs(self) -> dict[str, int]:
        """The Delta versions that training read."""
        return dict(self.row["inputs"])

    @property
    def items(self) -> int:
        """Size of the vocabulary that it was trained on, padding and unknown included."""
        return int(self.exported.card["sizes"]["items"])


@dataclass(frozen=True)
class Catalogue:
    """The vocabulary's items under one model; row i belongs to index i, those of padding and unknown to no item.

    `train_events` are those that the model was trained with: 0 for an item that joined the vocabulary later.
    """

    item_ids: list[str]
    vectors: np.ndarray  # (items, dim) float32
    content: ItemContent

    @property
    def train_events(self) -> np.ndarray:
        """(items,) int64."""
        return self.content.train_events


def newest_model(run: Run) -> Trained:
    """The model that `scoring.model_id` names, or else the newest.

    Raises:
        NoInputError: there is none.
        ContractError: it reads other inputs than the scenario's.
    """
    wanted = run.config.scoring.model_id
    row = newest_row(run.read("models"), wanted) if run.can_read("models") else None
    if row is None:
        which = "holds no model" if wanted is None else f"holds no model {wanted}"
        raise NoInputError(f"models: the warehouse {which}. Run train_model first.")
    folder = _local(run, run.path(export_name(row["model_id"])))
    trained = Trained(row, folder, Exported.load(folder))
    _check_inputs(run, trained)
    run.log("model", model_id=trained.model_id, created_at=trained_at(row), inputs=trained.inputs)
    return trained


def newest_row(models: DataFrame, model_id: str | None = None) -> Row | None:
    """The row of the model that is named, or else of the one that was trained last; None: there is none."""
    chosen = models if model_id is None else models.where(F.col("model_id") == model_id)
    return chosen.orderBy(F.desc("created_at"), "model_id").head()


def trained_at(row: Row) -> datetime.datetime:
    """The `created_at` of a row of `models` in UTC; PySpark has turned it into a local time of this machine, without a zone."""
    created: datetime.datetime = row["created_at"]
    return created.astimezone(datetime.UTC)


def export_name(model_id: str) -> str:
    """Where a warehouse keeps the export of a model. `models.export_path` is where it was when the model was trained: the
    warehouse may have another name since, or be a copy."""
    return f"_models/{model_id}"


def _local(run: Run, export: str) -> Path:
    """A copy of the export on this machine."""
    folder = private_folder()
    try:
        for name in FILES:
            fetch(run.spark, f"{export}/{name}", folder / name)
    except FileNotFoundError as error:
        raise ExportError(f"{error}: there is no such file, though `models` names it. Run train_model with --force.") from error
    return folder


def input_names(config: Scenario, fitted: Container[str]) -> dict[str, list[str]]:
    """What each entry of the declared inputs is, in the order in which the model reads them.

    Args:
        fitted: user features that have a z-score; the model reads no others.
    """
    user, item = config.content.of("user"), config.content.of("item")
    return {
        "user_features": [name for name in model_features(config.features.user) if name in fitted],
        "user_numbers": number_names(user),
        "user_labels": label_names(user),
        "item_numbers": number_names(item),
        "item_labels": label_names(item),
    }


def _check_inputs(run: Run, trained: Trained) -> None:
    card, config = trained.exported.card, run.config
    sizes, names = card["sizes"], card.get("names", {})
    fitted = z_scores(as_trained(run, trained, "statistics"), "user_features")  # more that are declared do no harm
    expected = {
        "max_length": config.sequences.max_length,
        "item_categories": config.sequences.max_categories if has_categories(config.content.of("item")) else 0,
        **input_names(config, fitted),
    }
    found = {name: names.get(name) if isinstance(value, list) else sizes.get(name) for name, value in expected.items()}
    wrong = [f"{name}={found[name]}, the scenario has {value}" for name, value in expected.items() if found[name] != value]
    then, now = json.loads(trained.row["config"])["sequences"]["event_types"], config.sequences.event_types
    if _unordered(then) != _unordered(now):
        wrong.append(f"sequences.event_types={then}, the scenario has {None if now is None else list(now)}")
    linear = sorted(f for f in logarithmic_features(config.features.user) if f in fitted and not fitted[f].of_log)
    if linear:  # as earlier versions stored them
        wrong.append(f"z-scores of {', '.join(linear)}, the scenario has those of their logarithms")
    if wrong:
        raise ContractError(f"models: {trained.model_id} was trained with {'; '.join(wrong)}. Train a model for this scenario.")


def _unordered(names: Iterable[str] | None) -> set[str] | None:
    return None if names is None else set(names)


def as_trained(run: Run, trained: Trained, name: str, of: Callable[[DataFrame], DataFrame] = lambda table: table) -> DataFrame:
    """A table, or what is made `of` it, at the version that the model was trained on.

    Raises:
        ContractError: that version cannot be read any more.
    """
    version = trained.inputs.get(name, run.version(name))
    if version == run.version(name):
        return of(run.read(name))
    try:
        table = of(run.warehouse.read(run.table(name), version)).persist()
        table.count()  # reads it whole: files that were vacuumed away are missed only when they are read
    except Exception as error:
        raise ContractError(
            f"{name}: version {version}, which model {trained.model_id} was trained on, cannot be read any more "
            f"(the table is at version {run.version(name)}). Train a model on the tables of today."
        ) from error
    return table


def catalogue(run: Run, trained: Trained) -> Catalogue:
    """The vocabulary's items with their vectors.

    A vocabulary that grew since training is welcome: the item tower takes any content, and an item without a trained row
    of its own reads UNKNOWN's, as a cold item does, so that its content alone speaks. `train_events` of the trained version
    decide who has a row: an item that is in the vocabulary but got its first events later was never trained.

    Raises:
        ContractError: the model was trained on another vocabulary.
    """
    now, then = _content(_content_today(run, trained)), _content(as_trained(run, trained, "item_content"))
    _check_prefix(run, trained, now[0], then[0])
    counted = np.zeros(len(now[0]), np.int64)
    counted[: len(then[0])] = then[1].train_events
    content = replace(now[1], train_events=counted)
    known = known_content(trained.exported, content)
    with run.step("item_vectors", items=len(now[0]) - FIRST, new=len(now[0]) - len(then[0])):
        vectors = trained.exported.item_vectors(known)
    return Catalogue(now[0], vectors, content)


def listed_items(run: Run, listed: Catalogue) -> DataFrame:
    """item_vocabulary without the items that it alone knows yet: build_sequences writes it before their content, and may be
    at work, or have been killed, in between."""
    return run.read("item_vocabulary").where(F.col("index") < len(listed.item_ids))


def likeness(run: Run, listed: Catalogue) -> Likeness:
    """What the catalogue's items have in common."""
    vocabulary = listed_items(run, listed).select("item_id", "index")
    pairs = run.read("item_neighbours").join(vocabulary, "item_id")
    others = vocabulary.select(F.col("item_id").alias("neighbour_id"), F.col("index").alias("neighbour"))
    columns = pairs.join(others, "neighbour_id").select("index", "rank", "neighbour", "similarity").toArrow()
    items, ranks, neighbours, similarities = (column.to_numpy() for column in columns)
    arrays = ranked_rows(items, ranks, neighbours, similarities, len(listed.item_ids))
    return Likeness(*arrays, listed.content.categories, listed.content.numbers)


def _content_today(run: Run, trained: Trained) -> DataFrame:
    """item_content of today's items, by the numbers that were fitted when the model was trained: other numbers would turn
    the content that its weights know into something else."""
    refitted = [name for name in ("statistics", "projections") if _is_refitted(run, trained, name)]
    if not refitted:
        return run.read("item_content")
    run.log("content_encoded_as_trained", refitted=refitted)
    return encoded(run, item_contents(run), _fitted(run, trained, "item_content")).withColumn(
        "train_events", F.lit(0).cast("bigint")
    )


def users_content(run: Run, trained: Trained) -> DataFrame | None:
    """Rows of user_content of today's users, by the numbers that the model was trained with; None: nothing is declared."""
    fields = run.config.content.user
    if not fields:
        return None
    return user_content(run.read("users"), run.read("label_vocabulary"), fields, _fitted(run, trained, "user_content"))


def _fitted(run: Run, trained: Trained, owner: str) -> Fitted:
    projections = as_trained(run, trained, "projections") if "projections" in trained.inputs else None
    return Fitted(owner, as_trained(run, trained, "statistics"), projections)


def _is_refitted(run: Run, trained: Trained, name: str) -> bool:
    """Whether a table holds other numbers about the content of items than when the model was trained."""
    if name not in trained.inputs or trained.inputs[name] == run.version(name):
        return False
    return _numbers_of(as_trained(run, trained, name)) != _numbers_of(run.read(name))


def _numbers_of(table: DataFrame) -> tuple:
    """Stands for the numbers that item_content is encoded by, whatever the order and the time of the rows."""
    columns = [c for c in table.columns if c != "fitted_until"]
    own = table.where(F.col("owner") == "item_content")
    return tuple(own.agg(F.count("*"), F.bit_xor(F.xxhash64(*columns))).head() or ())


def _content(table: DataFrame) -> tuple[list[str], ItemContent]:
    """Item ids and content in order of index."""
    rows = table.orderBy("index").toArrow().combine_chunks()
    columns: dict[str, np.ndarray] = {i.name: matrix(rows[i.name].combine_chunks()).astype(i.dtype) for i in CONTENT}
    content = ItemContent(**columns, train_events=rows["train_events"].to_numpy())
    if not np.array_equal(rows["index"].to_numpy(), np.arange(len(rows))):
        raise ContractError("item_content: must have one row for each index from 0. Run build_sequences with --force.")
    return rows["item_id"].to_pylist(), content


def _check_prefix(run: Run, trained: Trained, now: list[str], then: list[str]) -> None:
    versions = (
        f"version {trained.inputs.get('item_content', run.version('item_content'))} then, {run.version('item_content')} now"
    )
    if len(then) != trained.items:
        raise ContractError(
            f"models: {trained.model_id} was trained on another vocabulary: its export has {trained.items} items, "
            f"item_content {len(then)} ({versions}). Train a model on this warehouse."
        )
    if now[: len(then)] != then:
        first = next((i for i, (a, b) in enumerate(zip(now, then, strict=False)) if a != b), len(now))
        raise ContractError(
            f"models: {trained.model_id} was trained on another vocabulary: item_content had {len(then)} items and has "
            f"{len(now)}, which differ from index {first} on ({versions}). Train a model on the vocabulary of today."
        )
