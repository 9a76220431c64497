"""What a model is judged by must have been held back when it was trained."""

from __future__ import annotations

import json

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from features.errors import ContractError
from features.sequences.config import Split
from jobs.modelling.trained import Trained, as_trained
from jobs.runtime.run import Run


def check_split(run: Run, trained: Trained) -> None:
    """The log tells where the model saw other sequences than those it is judged by.

    Raises:
        ContractError: the split of then may have given the model targets of valid and test of now to learn from.
    """
    then = Split.model_validate(json.loads(trained.row["config"])["sequences"]["split"])
    now = run.config.sequences.split
    if then != now and not _is_later(then, now):
        raise ContractError(
            f"models: {trained.model_id} must not be judged by what it has learned from. It was trained with "
            f"sequences.split={_as_text(then)}, the scenario has {_as_text(now)}. Train a model with this split."
        )
    if trained.inputs["sequences"] != run.version("sequences"):
        run.log("sequences_built_again", trained_on=trained.inputs["sequences"], judged_by=run.version("sequences"))


def _is_later(then: Split, now: Split) -> bool:
    """By days, none of which is of an earlier part now than it was then."""
    starts = ((then.valid_from, now.valid_from), (then.test_from, now.test_from))
    return all(old is not None and new is not None and old <= new for old, new in starts)


def _as_text(split: Split) -> str:
    return ", ".join(str(value) for value in split.model_dump(exclude_none=True).values())


def held_back(run: Run, trained: Trained, rows: DataFrame) -> DataFrame:
    """The rows whose target the model has not learned, where its sequences were other ones than those of today.

    With leave_one_out a history that has become shorter, or that was too short to hold anything back, makes targets of valid
    and test of what was one of train. Those are the ones that come no later than the user's last target of train then, by
    time and, at the same time, by number. With global_time no target changes its side.

    Args:
        rows: of `sequences`, of valid and test.

    Raises:
        ContractError: no row is left, or the sequences of then cannot be read any more.
    """
    if run.config.sequences.split.by != "leave_one_out" or trained.inputs["sequences"] == run.version("sequences"):
        return rows
    then = as_trained(run, trained, "sequences", _of_train)
    now = _of_train(run.read("sequences")).select("user_id", F.col("learned").alias("before"))
    number = F.coalesce("before", F.lit(0.0)) + F.when(F.col("split") == "valid", 1.0).otherwise(2.0)
    joined = rows.join(then, "user_id", "left").join(now, "user_id", "left")
    is_learned = F.col("learned").isNotNull() & (F.struct("target_time", number) <= F.struct("last", "learned"))
    known = joined.withColumn("is_learned", is_learned)
    left_out, left = known.agg(F.count_if("is_learned"), F.count_if(~F.col("is_learned"))).collect()[0]
    if not left:
        raise ContractError(
            f"models: {trained.model_id} must not be judged by what it has learned from. All {left_out} targets of valid and "
            "test were targets of train when it was trained. Train a model on these sequences."
        )
    run.count("targets_learned", left_out)
    run.log("targets_left_out", learned=left_out, left=left)
    return known.where(~F.col("is_learned")).select(*rows.columns)


def _of_train(sequences: DataFrame) -> DataFrame:
    """Of each user with a target of train, when the `last` one was and how many are `learned` (double)."""
    count = F.aggregate("weights", F.lit(0.0), lambda total, weight: total + weight)
    train = sequences.where("split = 'train'").groupBy("user_id")
    return train.agg(F.max("target_time").alias("last"), F.sum(count).alias("learned"))
