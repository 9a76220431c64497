"""The scenario: one YAML file, checked whole before anything runs. The one place where the packages' sections meet."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from features.cleaning.config import CleanConfig
from features.content.config import ContentConfig, default_content
from features.sequences.config import SequencesConfig
from features.source.config import SourceConfig
from features.trailing.config import FeaturesConfig
from features.trailing.event_columns import columns_needed
from features.trailing.feature import Feature
from features.trailing.operations import CONTEXT, column_name
from jobs.runtime.errors import ConfigError
from models.config import EvaluationConfig, ModelConfig, ScoringConfig, TrainingConfig

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")  # ${NAME} or ${NAME:-default}


class Scenario(BaseModel):
    """Everything a scenario declares; only `warehouse` and `source` have no default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] = "lakeformer"
    warehouse: Annotated[str, Field(min_length=1)]  # folder of the tables, on any file system that Spark knows
    catalog: Annotated[str, Field(pattern=r"^\w+(\.\w+)?$")] | None = None  # schema to register the tables in, its own
    source: SourceConfig
    clean: CleanConfig = CleanConfig()
    features: FeaturesConfig = FeaturesConfig()
    content: ContentConfig = ContentConfig()
    sequences: SequencesConfig = SequencesConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    scoring: ScoringConfig = ScoringConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @field_validator("warehouse")
    @classmethod
    def warehouse_is_no_escape(cls, path: str) -> str:
        if re.search("%[0-9A-Fa-f]{2}", path):  # Spark, delta-rs and polars disagree on what it is
            raise ValueError(f"must not hold % and two digits, which stand for another character to some. Received {path!r}.")
        return path

    @model_validator(mode="after")
    def cleaning_has_its_sources(self) -> Self:
        missing = self.clean.missing_sources(self.source)
        if missing:
            raise ValueError(
                "what clean refers to must be in source: a table, a column of its columns, or a name in context or attributes. "
                f"Received no source for: {', '.join(missing)}."
            )
        return self

    @model_validator(mode="after")
    def outliers_are_of_the_training_period(self) -> Self:
        until, valid_from = self.clean.training_until, self.sequences.split.valid_from
        if self.clean.outliers_of("events") and until != valid_from:
            raise ValueError(
                "clean.training_until must be sequences.split.valid_from, as outliers of value are fitted on what trains. "
                f"Received training_until={until}, valid_from={valid_from}."
            )
        return self

    @model_validator(mode="after")
    def content_has_its_sources(self) -> Self:
        if self.content.user and self.source.users is None:
            raise ValueError("content.user needs source.users. Received no source.users.")
        for entity, source in (("item", self.source.items), ("user", self.source.users)):
            missing = self.content.attributes(entity) - set(source.attributes if source else ())
            if missing:
                raise ValueError(
                    f"content.{entity}: an attribute must stand in source.{entity}s.attributes. Received {sorted(missing)}."
                )
        return self

    @model_validator(mode="after")
    def features_are_of_types_that_events_have(self) -> Self:
        accepted = self.source.events.event_types
        if accepted is None:
            return self
        for entity in self.features.entities:
            features = [f for f in self.features.of(entity) if isinstance(f, Feature)]
            unknown = {label for f in features for label in f.conditions.get("event_type", ())} - set(accepted)
            if unknown:
                raise ValueError(
                    f"features.{entity}: where.event_type must be of source.events.event_types: {sorted(accepted)}. "
                    f"Received {sorted(unknown)}."
                )
        return self

    @model_validator(mode="after")
    def features_have_their_context(self) -> Self:
        known = {*self.source.events.context, *self.clean.marks}
        for entity in self.features.entities:
            asked = {c for c in columns_needed(self.features.of(entity)) if c.startswith(CONTEXT)}
            missing = sorted(c for c in asked if column_name(c) not in known)
            if missing:
                raise ValueError(
                    f"features.{entity}: a column of the context must stand in source.events.context. Received {missing}."
                )
        return self

    def dump(self, *sections: str, without: Sequence[str] = ()) -> dict[str, Any]:
        """The named sections (all where none is named) as plain values, defaults included; `without` keys of theirs, each
        written as for --set."""
        values = self.model_dump(mode="json", by_alias=True, include=set(sections) or None)
        for *parents, key in (name.split(".") for name in without):
            here = reduce(lambda mapping, parent: mapping.get(parent) or {}, parents, values)
            here.pop(key, None)
        return values

    def hash(self, *sections: str) -> str:
        """Hash of the named sections, that changes when any value in them does."""
        return digest(self.dump(*sections))


def digest(value: object) -> str:
    """Sixteen hexadecimal digits that stand for a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, where PyYAML would quietly keep the last, and a value that looks like a date or a number
    and is none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            line, said = node.start_mark.line + 1, f"Received {node.value!r}: {error}"
            raise ConfigError(f"line {line}: must be a date, a time or a number that exists, or in quotes. {said}.") from None

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """As the mapping is written: one that is merged into it (`<<`) may have keys of the same name."""
        node = super().compose_mapping_node(anchor)
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ConfigError(f"line {node.start_mark.line + 1}: a key stands once. Received {sorted(twice)} twice.")
        return node


def load(path: str, overrides: Sequence[str] = ()) -> Scenario:
    """Reads a scenario; `overrides` are `key.key=value`, the value as in YAML.

    Raises:
        ConfigError: one line per mistake, each with file, key, rule and the value received.
    """
    mistakes: list[str] = []
    values = _read(path)
    for override in overrides:
        _override(values, override, mistakes)
    try:
        values = _substituted(values, "", mistakes)
    except RecursionError:
        raise ConfigError(f"{path}: a value must not hold itself. Received an anchor that its own value refers to.") from None
    try:
        scenario = Scenario.model_validate(values)
    except ValidationError as error:
        mistakes += [_sentence(e) for e in error.errors()]
    if mistakes:
        raise ConfigError("\n".join(f"{path}: {m}" for m in mistakes))
    return _resolved(scenario)


def _resolved(scenario: Scenario) -> Scenario:
    """With what other sections tell, where it is not declared: `training.rank_seen` follows `scoring.exclude`, `content.item`
    what the catalogue has, and `model.request_context` whether times are made up."""
    content, model, training, items = scenario.content, scenario.model, scenario.training, scenario.source.items
    if content.item is None:
        content = content.model_copy(update={"item": default_content(items.columns if items else ())})
    if model.request_context is None:
        model = model.model_copy(update={"request_context": scenario.source.events.time.unit not in ("order", "none")})
    if training.rank_seen is None:
        training = training.model_copy(update={"rank_seen": not scenario.scoring.leaves_out_seen})
    return scenario.model_copy(update={"content": content, "model": model, "training": training})


def _read(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: must be a YAML file that can be read. {error}") from error
    try:
        values = yaml.load(text, _Loader)  # noqa: S506  # _Loader is a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: must be YAML. {' '.join(str(error).split())}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must be a mapping of keys. Received {values!r}.")
    return values


def _substituted(value: Any, key: str, mistakes: list[str]) -> Any:
    """Environment variables put in, in every text of the tree."""
    if isinstance(value, dict):
        return {k: _substituted(v, f"{key}.{k}".lstrip("."), mistakes) for k, v in value.items()}
    if isinstance(value, list):
        return [_substituted(v, f"{key}.{i}", mistakes) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def environment(match: re.Match[str]) -> str:
        name, default = match.groups()
        if name not in os.environ and default is None:
            mistakes.append(f"{key}: the environment variable must be set. Received no {name}.")
        return os.environ.get(name, default or "")

    return _VARIABLE.sub(environment, value)


def _override(values: dict[str, Any], override: str, mistakes: list[str]) -> None:
    key, equals, text = override.partition("=")
    *parents, last = key.split(".")
    if not equals or not last:
        mistakes.append(f"--set: must be key=value. Received {override!r}.")
        return
    try:
        value = yaml.load(text, _Loader)  # noqa: S506  # _Loader is a SafeLoader
    except (yaml.YAMLError, RecursionError):
        mistakes.append(f"--set {key}: must be a YAML value. Received {text!r}.")
        return
    except ConfigError as error:
        mistakes.append(f"--set {key}: {error}")
        return
    here: Any = values
    for parent in parents:
        if not isinstance(here, dict):
            break
        child = here.get(parent, {})
        here[parent] = dict(child) if isinstance(child, dict) else child  # what an anchor names stands elsewhere, too
        here = here[parent]
    if not isinstance(here, dict):
        mistakes.append(f"--set {key}: must name a key in a mapping. Received {override!r}.")
        return
    here[last] = value


def _sentence(error: Any) -> str:
    key, rule = ".".join(str(part) for part in error["loc"]), error["msg"].removeprefix("Value error, ").rstrip(".")
    if error["type"] == "missing":
        rule = "must be given. Received nothing"
    elif "Received" not in rule:
        rule = f"{rule}. Received {error['input']!r}"
    return f"{key}: {rule}." if key else f"{rule}."  # a rule between sections has no key of its own
