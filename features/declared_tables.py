"""The tables of declared features: their columns, names and comments follow from the declarations."""

from __future__ import annotations

from features.features_config import Feature
from features.schema import DATE, MONTH, Column, Table


def measure(feature: Feature) -> str:
    """Prefix of a feature's columns: the event type it is limited to, or nothing."""
    return f"{feature.event_type}_" if feature.event_type else ""


def feature_columns(features: tuple[Feature, ...]) -> tuple[Column, ...]:
    """The computed names: {column}_{operation}_{days}d, after the event type where one is declared."""
    columns: dict[str, Column] = {}
    for f in features:
        of = f" of type {f.event_type}" if f.event_type else ""
        for days in f.days:
            window = f"in the {days} whole days before date"
            column = {
                "count": Column(f"{measure(f)}events_count_{days}d", "bigint", f"events{of} {window}"),
                "sum": Column(f"{measure(f)}value_sum_{days}d", "double", f"sum of value of events{of} {window}; 0: none"),
                "mean": Column(
                    f"{measure(f)}value_mean_{days}d",
                    "double",
                    f"mean value of events{of} {window}; null: none has a value",
                    True,
                ),
                "recency": Column(
                    f"{measure(f)}events_recency_{days}d",
                    "int",
                    f"days from the last day with an event{of} to date, {window}; null: no such day",
                    True,
                ),
                "frequency": Column(
                    f"{measure(f)}events_frequency_{days}d", "double", f"share of days with an event{of} {window}, 0 to 1"
                ),
                "share": Column(
                    f"{measure(f)}category_share_{days}d",
                    "map<string,double>",
                    f"share of each category among the categories of the events{of} {window}, sums to 1; empty: none",
                ),
            }[f.operation]
            columns.setdefault(column.name, column)
    return tuple(columns.values())


def day_table(entity: str, features: tuple[Feature, ...]) -> Table:
    """user_days or item_days: one key's additive aggregates of one day, from which every window is summed."""
    columns: dict[str, Column] = {}
    for f in features:
        of = f" of type {f.event_type}" if f.event_type else ""
        add = [Column(f"{measure(f)}events", "bigint", f"events{of} of the day")]
        if f.operation in ("sum", "mean"):
            add += [
                Column(f"{measure(f)}value_sum", "double", f"sum of value of the events{of}; 0: none has one"),
                Column(f"{measure(f)}value_count", "bigint", f"events{of} with a value"),
            ]
        if f.operation == "share":
            add.append(Column(f"{measure(f)}category_events", "map<string,bigint>", f"events{of} by category of the item"))
        for column in add:
            columns.setdefault(column.name, column)
    return Table(
        f"{entity}_days",
        f"One row is one {entity}'s aggregates of one day with events: the tile from which windows are summed.",
        (Column(f"{entity}_id", "string", entity), DATE, MONTH, *columns.values()),
        (f"{entity}_id", "date"),
        ("month",),
    )


def feature_table(entity: str, features: tuple[Feature, ...]) -> Table:
    """user_features or item_features: one key as of the start of `date`, from whole days before it only."""
    return Table(
        f"{entity}_features",
        f"One row is one {entity} as of the start of date, from whole days before it; only for dates that were asked for.",
        (
            Column(f"{entity}_id", "string", entity),
            Column("date", "date", "the features are as of the start of this day, UTC"),
            MONTH,
            *feature_columns(features),
        ),
        (f"{entity}_id", "date"),
        ("month",),
    )


def model_features(features: tuple[Feature, ...]) -> tuple[str, ...]:
    """Names of the user features that `sequences.user_features` holds, in its order: those that are one number."""
    return tuple(c.name for c in feature_columns(features) if not c.type.startswith("map"))
