"""The tables of declared features: their columns, names and comments follow from the declarations."""

from __future__ import annotations

from features.schema import DATE, MONTH, NUMBERS, Column, Table
from features.trailing.feature import Declared, Feature, Limits, Ratio, windows_of
from features.trailing.operations import Part


def _conditions(feature: Feature) -> str:
    """The conditions on the events, as the end of a noun."""
    texts = []
    for column, condition in feature.conditions.items():
        if isinstance(condition, Limits):
            limits = {"at least": condition.at_least, "below": condition.below}
            texts.append(f"{column} {' and '.join(f'{k} {v:g}' for k, v in limits.items() if v is not None)}")
        else:
            texts.append(f"{column} {' or '.join(condition)}")
    return f" of events with {' and '.join(texts)}" if texts else ""


def formula(feature: Feature, window: tuple[int, ...]) -> str:
    """How a column of the feature is made, in words."""
    days = " and the ".join(f"{d}" for d in window)
    return f"{feature.op.text(feature)}{_conditions(feature)} in the {days} whole days before date"


def _feature_column(name: str, feature: Feature, window: tuple[int, ...]) -> Column:
    unit = f", in {feature.unit}" if feature.unit else ""
    described = f"{feature.description}: " if feature.description else ""
    comment = f"{described}{formula(feature, window)}{unit}; {feature.op.empty}"
    return Column(name, feature.type, comment, feature.op.nullable)


NO_DIVISOR = "null: no divisor"


def _ratio_column(ratio: Ratio) -> Column:
    described = f"{ratio.description}: " if ratio.description else ""
    return Column(ratio.column, "double", f"{described}{ratio.ratio} / {ratio.to}; {NO_DIVISOR}", True)


def feature_columns(declared: Declared) -> tuple[Column, ...]:
    """The columns that the declarations make, in their order."""
    columns = [_feature_column(name, *of) for name, of in windows_of(declared).items()]
    return (*columns, *[_ratio_column(f) for f in declared if isinstance(f, Ratio)])


def tile_parts(declared: Declared) -> dict[str, tuple[Feature, Part]]:
    """Each column of a tile, by name: its part, and a feature that needs it, whose conditions it is under."""
    features = [f for f in declared if isinstance(f, Feature)]
    return {name: (f, part) for f in features for name, part in f.parts.items()}


def day_table(entity: str, declared: Declared) -> Table:
    """user_days, item_days or category_days: one key's aggregates of one day, from which every window is made."""
    parts = tile_parts(declared).items()
    columns = [Column(name, part.type, f"{part.comment}{_conditions(f)} of the day", True) for name, (f, part) in parts]
    return Table(
        f"{entity}_days",
        f"One row is one {entity}'s aggregates of one day with events: the tile from which windows are made.",
        (Column(f"{entity}_id", "string", entity), DATE, MONTH, *columns),
        (f"{entity}_id", "date"),
        ("month",),
    )


def feature_table(entity: str, declared: Declared) -> Table:
    """user_features, item_features or category_features: one key as of the start of `date`, from whole days before it only."""
    return Table(
        f"{entity}_features",
        f"One row is one {entity} as of the start of date, from whole days before it: of days with events, and as of "
        "the day after the last.",
        (
            Column(f"{entity}_id", "string", entity),
            Column("date", "date", "the features are as of the start of this day, UTC"),
            MONTH,
            *feature_columns(declared),
        ),
        (f"{entity}_id", "date"),
        ("month",),
    )


def model_features(declared: Declared) -> tuple[str, ...]:
    """Names of the user features that `sequences.user_features` holds, in its order: those that are one number."""
    return tuple(c.name for c in feature_columns(declared) if c.type in NUMBERS)


def zero_features(declared: Declared) -> frozenset[str]:
    """Those of `model_features` that are 0 without events, and not null."""
    return frozenset(c.name for c in feature_columns(declared) if c.type in NUMBERS and not c.nullable)


def logarithmic_features(declared: Declared) -> frozenset[str]:
    """Those of `model_features` that are spread over orders of magnitude, as counts and sums are; no ratio is."""
    return frozenset(name for name, (feature, _) in windows_of(declared).items() if feature.op.logarithmic)
