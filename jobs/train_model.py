"""Train the model on one pinned version of the sequences, on `training.workers` processes, and export it.

Reads   sequences, item_content, item_transitions,  the versions at the start of the run, to the end of training
        item_values, label_vocabulary
        statistics, projections                     only their versions: scoring scales with the numbers the model saw
Writes  models                                      one row, the newest; training again on the same inputs changes nothing
        <warehouse>/_training/<model_id>/           checkpoints: the same command goes on where a killed run stopped
        <warehouse>/_models/<model_id>/             the exported model

With --replay MODEL_ID nothing of the scenario but the warehouse counts: the model is trained again from what its row of
`models` pins, and the run ends with 3 unless every weight is the same, bit for bit.

All tables must be as the last run of build_sequences has left them, and by what the scenario declares now.
The warehouse must be on a path that every machine sees.
"""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Mapping, Sequence

from pyspark.sql import functions as F

from features.errors import ContractError
from features.scaling import z_scores
from jobs.modelling.trained import export_name, input_names, newest_row
from jobs.runtime.arguments import Option
from jobs.runtime.config import digest
from jobs.runtime.job import Job
from jobs.runtime.run import Run
from jobs.runtime.version import code_version, package_versions
from jobs.runtime.warehouse import equals
from jobs.training.defaults import decided
from jobs.training.inputs import MAKER, check_made_together
from jobs.training.likes import like_score
from jobs.training.replay import DEVICE, THREADS, replay
from jobs.training.workers import as_begun, refuse_remote, threads, train
from models.inputs import FIRST, Sizes
from models.stream.delta_log import training_files
from models.training.spec import GATE, PinnedTable, TrainingResult, TrainInputs, TrainSpec

READS = ("sequences", "item_content", "item_transitions", "item_values", "label_vocabulary", "statistics", "projections")
SECTIONS = ("sequences", "model", "training")
REPLAY = Option("--replay", "MODEL_ID", "trains a model again from what its row of `models` pins, and compares the weights")


def build(run: Run) -> None:
    if REPLAY.name in run.options:
        replay(run, run.options[REPLAY.name])
        return
    training_files(run.mounted("sequences"), run.version("sequences"))  # refuses here what every worker would refuse
    check_made_together(run)
    spec = training_spec(run, _sizes(run))
    result = train(run, spec)
    run.count("train_rows", result.rows)
    newest = newest_row(run.newest("models")) if run.exists("models") else None
    if newest is not None and (newest["model_id"], newest["export_path"]) == (spec.model_id, spec.export):
        run.keep()
        return
    # An older row of it is replaced: scoring takes the newest model, which is that of the scenario as it is now.
    row = run.spark.createDataFrame([_row(run, spec, result)], run.table("models").schema)
    run.write("models", row, equals(model_id=spec.model_id))


def training_spec(run: Run, sizes: Sizes) -> TrainSpec:
    """Everything the workers need; its model_id stands for everything that decides the weights."""
    training = decided(run.config.training, sizes.items - FIRST, lambda: _targets(run), run.log)
    inputs = TrainInputs(
        sequences=PinnedTable(path=run.mounted("sequences"), version=run.version("sequences")),
        item_content=PinnedTable(path=run.mounted("item_content"), version=run.version("item_content")),
        item_transitions=PinnedTable(path=run.mounted("item_transitions"), version=run.version("item_transitions")),
        item_values=PinnedTable(path=run.mounted("item_values"), version=run.version("item_values")),
        model=run.config.model,
        training=training,
        sizes=sizes,
        versions={name: run.version(name) for name in READS if name in run.versions},  # not all have projections
        names=input_names(run.config, z_scores(run.read("statistics"), "user_features")),
        like_score=like_score(training.loss, lambda: run.read("statistics")),
        threads=threads(run, training.workers),
    )
    model_id = digest([inputs.identity(), run.config.dump("sequences"), code_version()])
    folder, export = run.mounted(f"_training/{model_id}"), run.mounted(export_name(model_id))
    return as_begun(TrainSpec(**dict(inputs), model_id=model_id, folder=folder, export=export))


def _sizes(run: Run) -> Sizes:
    """Raises:
    ContractError: the sequences know items that item_content does not.
    """
    content = run.read("item_content").agg(
        F.max("index"), F.max(F.size("numbers")), F.max(F.size("categories")), F.max(F.size("labels"))
    ).head()  # fmt: skip
    examples = run.read("sequences").agg(
        F.max(F.size("user_features") / F.col("length")), F.max(F.array_max(F.concat("item_ids", "targets"))),
        F.max(F.size("user_numbers")), F.max(F.size("user_labels")), F.max("length"),
    ).head()  # fmt: skip
    by_column = run.read("label_vocabulary").groupBy("column").agg(F.max("index").alias("last")).collect()
    labels = {row["column"]: row["last"] for row in by_column}
    last, numbers, categories, slots = content  # type: ignore[misc]
    features, last_used, user_numbers, user_slots, longest = examples  # type: ignore[misc]
    if last is None:
        raise ContractError("item_content: the table has no rows. Run build_sequences.")
    if (last_used or 0) > last:
        raise ContractError(
            f"sequences: an item index of theirs is {last_used}, but item_content ends at {last}: they are of different "
            "vocabularies. Run build_sequences."
        )
    if (longest or 0) > run.config.sequences.max_length:
        raise ContractError(
            f"sequences: must be of at most sequences.max_length={run.config.sequences.max_length} events. "
            f"Received {longest}: they are of another configuration. Run build_sequences."
        )
    return Sizes(
        items=last + 1,
        categories=labels.get("categories", FIRST - 1) + 1,
        event_types=labels.get("event_type", FIRST - 1) + 1,
        user_features=int(features or 0),
        item_numbers=numbers,
        item_categories=categories,
        max_length=run.config.sequences.max_length,
        item_labels=labels.get("item_content", FIRST - 1) + 1,
        item_label_slots=slots,
        user_numbers=user_numbers or 0,
        user_labels=labels.get("user_content", FIRST - 1) + 1,
        user_label_slots=user_slots or 0,
    )


def _targets(run: Run) -> int:
    """Of the training rows, those that count."""
    rows = run.read("sequences").where("split = 'train'")
    return int(rows.agg(F.sum(F.size(F.filter("weights", lambda weight: weight > 0)))).head()[0] or 0)  # type: ignore[index]


def _named(names: Mapping[str, Sequence[str]], metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics, gates of numbers under the names of what was declared."""
    parts = {
        "request_embedding/user_features": names["user_features"],
        "request_embedding/user_numbers": names["user_numbers"],
        "item_tower/numbers": names["item_numbers"],
    }
    named = {f"{GATE}{part}/{i}": f"{GATE}{part}/{name}" for part, of_part in parts.items() for i, name in enumerate(of_part)}
    return {named.get(key, key): value for key, value in metrics.items()}


def _row(run: Run, spec: TrainSpec, result: TrainingResult) -> tuple:
    sections = run.config.dump(*SECTIONS) | {"training": spec.training.model_dump(mode="json", by_alias=True)}
    return (
        spec.model_id,
        datetime.datetime.now(datetime.UTC),
        json.dumps(sections, sort_keys=True),
        digest(sections),
        code_version(),
        spec.versions,
        {**package_versions(), DEVICE: result.device, THREADS: str(spec.threads)},
        spec.training.seed,
        result.steps,
        result.rows,
        _named(spec.names, result.metrics),
        vars(spec.sizes),
        spec.export,
    )


JOB = Job(
    "train_model",
    build,
    reads=READS,
    writes=("models",),
    sections=(*SECTIONS, *MAKER.sections),  # those of the tables too, so that a run is not skipped that is to be refused
    ignored=MAKER.ignored,
    options=(REPLAY,),
    description=__doc__ or "",
    check=lambda run: refuse_remote(run.warehouse.root),
)


def main(argv: Sequence[str] | None = None) -> int:
    return JOB.main(argv)


if __name__ == "__main__":
    sys.exit(main())
