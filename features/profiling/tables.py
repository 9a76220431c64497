"""The tables that say what features are like and which of them are kept."""

from __future__ import annotations

from features.schema import Column, Table

_OF = (
    Column("table", "string", "user_features, item_features or category_features"),
    Column("feature", "string", "column of the table"),
)

FEATURE_STATISTICS = Table(
    "feature_statistics",
    "One row is one statistic of one feature over the rows of one month that are of a day on which their key has events.",
    (
        *_OF,
        Column("month", "string", "month of the rows, as 2026-11"),
        Column(
            "statistic",
            "string",
            "rows, nulls (share; of maps and lists: empty ones), distinct (approximate), mean, std (of the population), "
            "quantile_0.5, ...; against the reference month psi (less what chance gives so few rows), ks, new_labels (share of "
            "rows)",
        ),
        Column("number", "double", "its value; null: no row has a value", True),
    ),
    ("table", "feature", "month", "statistic"),
)

FEATURE_SELECTION = Table(
    "feature_selection",
    "One row is what the declared rule has decided about one feature.",
    (
        *_OF,
        Column("kept", "boolean", "true: the model may see it"),
        Column("reason", "string", "why it is not kept; empty: it is"),
        Column("nulls", "double", "share of training rows without a value"),
        Column("distinct", "bigint", "different values among the training rows, approximate"),
        Column("information", "double", "mutual information with the label in nats, by deciles, less that of chance"),
        Column("cluster", "int", "features of one number are correlated beyond the limit, directly or through others"),
    ),
    ("table", "feature"),
)
