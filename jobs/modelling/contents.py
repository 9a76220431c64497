"""Content of items and users: what the scenario declares, fitted where sequences are built, encoded there and in scoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import DataFrame

from features.content.config import Fields
from features.content.encoding import encoded_items, item_content, user_content
from features.content.fields import Vector
from features.content.fit import fit_projections, fit_statistics, needs_projections
from features.content.fitted import Fitted
from features.content.vectors import check_vectors
from jobs.runtime.run import Run

OWNERS = ("item_content", "user_content")  # of what is fitted


@dataclass(frozen=True)
class Content:
    """The rows of items or users, with what is declared about them."""

    owner: str
    key: str
    entities: DataFrame
    fields: Fields

    def known_to(self, train: DataFrame) -> DataFrame:
        """The rows that the training period has events of, which everything is fitted on."""
        return self.entities.join(train.select(self.key).distinct(), self.key, "left_semi")


def item_contents(run: Run) -> Content:
    """The items with what is declared about them.

    Raises:
        ContractError: an item's vector has another size than declared.
    """
    items, fields = run.read("items"), run.config.content.of("item")
    for field in fields:
        if isinstance(field, Vector):
            check_vectors(items, field)
    return Content("item_content", "item_id", items, fields)


def contents(run: Run) -> list[Content]:
    """That of items always, that of users where something is declared about them."""
    users = run.config.content.user
    return [item_contents(run), *([Content("user_content", "user_id", run.read("users"), users)] if users else [])]


def fit_contents(run: Run, declared: Sequence[Content], train: DataFrame, end: int) -> list[DataFrame]:
    """Rows of `statistics`; writes `projections` where something declared needs them.

    Args:
        train: events of the training period.
        end: instant before which they ended, in microseconds since 1970-01-01 UTC.
    """
    known = [(c, c.known_to(train).persist()) for c in declared]  # a field may take a pass of its own
    if has_projections(run):
        found = [rows for c, entities in known for rows in fit_projections(entities, c.fields, c.owner, end)]
        nothing = run.spark.createDataFrame([], run.table("projections").schema)
        run.write("projections", reduce(DataFrame.unionByName, found, nothing).coalesce(1))
    return [fit_statistics(entities, c.fields, c.owner, end) for c, entities in known]


def has_projections(run: Run) -> bool:
    return any(needs_projections(run.config.content.of(entity)) for entity in ("item", "user"))


def fitted(run: Run, statistics: DataFrame, declared: Sequence[Content]) -> dict[str, Fitted]:
    """What `fit_contents` has fitted, by owner."""
    projections = run.read("projections") if has_projections(run) else None
    return {c.owner: Fitted(c.owner, statistics, projections) for c in declared}


def write_contents(run: Run, declared: Sequence[Content], numbers: dict[str, Fitted], events: DataFrame) -> None:
    """Writes item_content, and user_content where it is declared; `events` with `split`."""
    labels = run.read("label_vocabulary")
    for content in declared:
        if content.owner == "user_content":
            run.write("user_content", user_content(content.entities, labels, content.fields, numbers[content.owner]))
        else:
            run.write("item_content", item_content(encoded(run, content, numbers[content.owner]), events))


def encoded(run: Run, items: Content, numbers: Fitted) -> DataFrame:
    """The rows of item_content without train_events."""
    indices, labels, slots = run.read("item_vocabulary"), run.read("label_vocabulary"), run.config.sequences.max_categories
    return encoded_items(items.entities, indices, labels, items.fields, numbers, slots)
