"""The columns of every table, written once. Jobs conform to them on the way in and on the way out.

Each column has a comment with its meaning, its unit and what null means; it becomes the column's comment in Delta.
"""

from __future__ import annotations

from features.profiling.tables import FEATURE_SELECTION, FEATURE_STATISTICS
from features.schema import DATE, MONTH, Column, Table
from features.trailing.config import KEYS, FeaturesConfig
from features.trailing.tables import day_table, feature_table

EVENTS = Table(
    "events",
    "One row is an interaction of a user with an item, cleaned: typed, valid, without duplicates.",
    (
        Column(
            "event_id",
            "string",
            "the source's id, or else the MD5 of the duplicate keys, type and time: one event has one id in every delivery",
        ),
        Column("user_id", "string", "user, as the source names it"),
        Column("item_id", "string", "item, as the source names it"),
        Column("event_type", "string", "what the user did, such as view or buy"),
        Column(
            "value", "double", "rating, amount or result of the event, in the source's unit; null: the event has none", True
        ),
        Column("event_time", "timestamp", "instant of the event, UTC"),
        Column("tie_order", "int", "0, 1, ... among the user's events of one instant, in source order"),
        Column("session_id", "string", "session, as the source names it; null: not given", True),
        Column(
            "context",
            "map<string,string>",
            "source columns of source.events.context; what cleaning has changed: value_before_clipping, <name>_imputed; empty: none",
        ),
        DATE,
        MONTH,
    ),
    ("event_id",),
    ("month",),
)

QUARANTINE = Table(
    "quarantine",
    "One row is a raw row that was refused, whole, with the reasons.",
    (
        Column("source", "string", "events, items, users or tags"),
        Column("file", "string", "name of the file it stood in"),
        Column("position", "bigint", "orders the rows of a file; the row's number from 0 where the file is read in one piece"),
        Column("raw", "string", "the row as JSON of its source columns, or the line itself where it could not be split"),
        Column("reasons", "array<string>", "every rule that the row broke, as column_rule"),
        Column("run_id", "string", "run that refused it"),
        Column(
            "date",
            "date",
            "day of the event where it could be read and is plausible (with {date} in the path: near enough to the file's); "
            "else the {date} in the file's path; else 1970-01-01",
        ),
    ),
    ("source", "file", "position"),
    ("source",),
)

ITEMS = Table(
    "items",
    "One row is an item with its content.",
    (
        Column("item_id", "string", "item, as the source names it"),
        Column("title", "string", "name to show; null: unknown", True),
        Column("categories", "array<string>", "categories in source order, without repetition; empty: none known"),
        Column("categories_imputed", "boolean", "true: categories were missing and were filled"),
        Column("tags", "array<string>", "tags, most frequent first, then by name; empty: none"),
        Column("price", "double", "price in the source's currency; null: missing and not imputed", True),
        Column("price_imputed", "boolean", "true: price was missing and was filled"),
        Column("year", "double", "year of publication; null: missing and not imputed", True),
        Column("year_imputed", "boolean", "true: year was missing and was filled"),
        Column("text", "string", "description; null: none", True),
        Column("media", "array<float>", "vector of text, image or audio as supplied; null: none", True),
        Column("attributes", "map<string,string>", "further source columns named in source.items.attributes; empty: none"),
    ),
    ("item_id",),
)

USERS = Table(
    "users",
    "One row is a user with what is known of them.",
    (
        Column("user_id", "string", "user, as the source names it"),
        Column("segment", "string", "group whose popular items a user without history gets; null: unknown", True),
        Column("age", "double", "age in years; null: missing and not imputed", True),
        Column("age_imputed", "boolean", "true: age was missing and was filled"),
        Column("attributes", "map<string,string>", "further source columns named in source.users.attributes; empty: none"),
    ),
    ("user_id",),
)

STATISTICS = Table(
    "statistics",
    "One row is a number (or a label) that was fitted on the training period, and is reused verbatim by every later step.",
    (
        Column(
            "owner",
            "string",
            "table whose column it was fitted on: events, items, users, user_features, item_content, user_content, sequences",
        ),
        Column("column", "string", "column it was fitted on"),
        Column("group", "string", "group it holds for, such as a category; empty: all rows"),
        Column(
            "statistic", "string", "mean, std, median, mode, iqr_3_by_event_type_high, ...: its name says all that decides it"
        ),
        Column("number", "double", "its value; null: the statistic is a label, or a bound of numbers that do not spread", True),
        Column(
            "label", "string", "its value where it is a label, such as the mode of a text column; null: it is a number", True
        ),
        Column(
            "fitted_until",
            "timestamp",
            "instant before which the data ended that it was fitted on; null: data without time",
            True,
        ),
    ),
    ("owner", "column", "group", "statistic"),
    ("owner",),
)

ITEM_VOCABULARY = Table(
    "item_vocabulary",
    "Item id and index. 0 is padding, 1 unknown, items start at 2. Append-only: an index never changes its meaning.",
    (Column("item_id", "string", "item"), Column("index", "int", "2, 3, ... in order of first appearance in a build")),
    ("item_id",),
)

USER_VOCABULARY = Table(
    "user_vocabulary",
    "User id and index. 0 is padding, 1 unknown, users start at 2. Append-only: an index never changes its meaning.",
    (Column("user_id", "string", "user"), Column("index", "int", "2, 3, ... in order of first appearance in a build")),
    ("user_id",),
)

LABEL_VOCABULARY = Table(
    "label_vocabulary",
    "Index of each label of the other columns that the model embeds. Append-only, from 2.",
    (
        Column(
            "column", "string", "categories, event_type, or the table that declared labels are of: item_content, user_content"
        ),
        Column("label", "string", "the label; of declared columns NAME=LABEL"),
        Column("index", "int", "2, 3, ... within the column; 0 is padding, 1 unknown"),
    ),
    ("column", "label"),
)

_CONTENT = (
    Column(
        "numbers",
        "array<float>",
        "the declared numbers, texts and vectors in their order, scaled by statistics and projections, 0 where unknown; "
        "each ends with whether it is known, 0 or 1",
    ),
    Column(
        "labels",
        "array<int>",
        "the declared labels, buckets and crosses in their order: indices in label_vocabulary, padded with 0 at the end",
    ),
    Column(
        "label_weights",
        "array<float>",
        "1 / labels of the same declared column, so that each column counts as a mean; 0 padding",
    ),
)

ITEM_CONTENT = Table(
    "item_content",
    "One row is an index of item_vocabulary with what the item tower reads: the item's content as content.item declares it.",
    (
        Column("index", "int", "index in item_vocabulary; 0 (padding) and 1 (unknown) have rows of zeros"),
        Column("item_id", "string", "item; empty for padding and unknown"),
        Column("categories", "array<int>", "indices in label_vocabulary, padded with 0 to sequences.max_categories"),
        *_CONTENT,
        Column("train_events", "bigint", "events of the training split; 0: the item is cold"),
    ),
    ("index",),
)

ITEM_NEIGHBOURS = Table(
    "item_neighbours",
    "One row is a neighbour of an item: another item that the same users chose in the training period.",
    (
        Column("item_id", "string", "item"),
        Column("rank", "int", "1 is the most similar"),
        Column("neighbour_id", "string", "the other item"),
        Column("users", "bigint", "users who chose both, within sequences.neighbours.history newest items of each"),
        Column(
            "similarity",
            "double",
            "0 to 1: cosine of their users, times users / (users + sequences.neighbours.shrinkage)",
        ),
    ),
    ("item_id", "rank"),
)

ITEM_TRANSITIONS = Table(
    "item_transitions",
    "One row is an item that users chose after another in the training period.",
    (
        Column("reach", "int", "events after the item that count"),
        Column("item_id", "string", "item"),
        Column("rank", "int", "1 is what came most often"),
        Column("next_item_id", "string", "what came after it, which may be the item again"),
        Column("events", "bigint", "times that it came"),
        Column(
            "share",
            "double",
            "0 to 1: events, faded by distance / (those of whatever came + sequences.transitions.shrinkage)",
        ),
        Column("index", "int", "index of the item in item_vocabulary"),
        Column("next_index", "int", "index of what came next"),
    ),
    ("reach", "item_id", "rank"),
)

ITEM_VALUES = Table(
    "item_values",
    "One row is an item that users gave values in the training period: its bias, and items that get like values. No rows where "
    "the source has no explicit values.",
    (
        Column("item_id", "string", "item"),
        Column("index", "int", "index of the item in item_vocabulary"),
        Column("values", "bigint", "users who gave it a value"),
        Column("bias", "double", "mean z-score of those values, drawn to 0 as by five more that are 0"),
        Column(
            "neighbours",
            "array<struct<item_id:string,index:int,users:bigint,similarity:double>>",
            "the most similar first; users: those who gave both a value; similarity: 0 to 1, correlation of what is left of "
            "their values without biases, times users / (users + sequences.item_values.shrinkage)",
        ),
    ),
    ("item_id",),
)

USER_CONTENT = Table(
    "user_content",
    "One row is a user with what is known of them, as content.user declares it; there is no table where it declares nothing.",
    (Column("user_id", "string", "user"), *_CONTENT),
    ("user_id",),
)

PROJECTIONS = Table(
    "projections",
    "One row is an entry of the vectors that a text or a supplied vector is reduced by: x becomes the sum over entries of "
    "(weight x - mean) basis. Fitted on the training period; there is no table where no reduction is declared.",
    (
        Column("owner", "string", "table that is encoded by it: item_content or user_content"),
        Column("column", "string", "name of the declared text or vector"),
        Column("entry", "int", "0, 1, ... place in the vector"),
        Column("term", "string", "term that the entry counts; null: the entry of a supplied vector", True),
        Column(
            "weight", "double", "inverse document frequency of the term; 1: none. A text's weighted vector then gets length 1"
        ),
        Column("mean", "double", "what is subtracted; 0 in texts and with svd"),
        Column("basis", "array<float>", "the entry's share in each number of the result; as many as the declared size"),
        Column("fitted_until", "timestamp", "instant before which the data ended that it was fitted on"),
    ),
    ("owner", "column", "entry"),
)

# One array of `length` entries per column; position 0 is the oldest event kept, padding (0) stands at the end.
SEQUENCES = Table(
    "sequences",
    "One row is a training or evaluation example: a window of one user's events, and at each position what came next.",
    (
        Column("example_id", "string", "user_id, split and number of the window, joined by |"),
        Column("user_id", "string", "user"),
        Column("user_index", "int", "index in user_vocabulary; 1: not in it"),
        Column("events", "int", "positions that hold an event; the rest is padding"),
        Column("last_time", "timestamp", "time of the last event that the example reads"),
        Column("target_time", "timestamp", "time of its last target"),
        Column("item_ids", "array<int>", "index of each event's item"),
        Column("event_types", "array<int>", "index of each event's type"),
        Column("values", "array<float>", "each event's value as z-score; 0 where it has none, or the source is implicit"),
        Column(
            "gaps",
            "array<int>",
            "bucket of the time since the event before: 0 padding or no event before, else 1 + log2(1 + seconds), cut",
        ),
        Column(
            "request_gaps",
            "array<int>",
            "bucket of the time from the event to the request (the next event): 0 padding, else 1 + log2(1 + seconds), cut",
        ),
        Column("request_hours", "array<int>", "1 + hour of the request, UTC; 0 padding"),
        Column("request_weekdays", "array<int>", "1 (Sunday) to 7: weekday of the request, UTC; 0 padding"),
        Column(
            "user_features",
            "array<float>",
            "length x features, row by row: the user's features as of the request's day, z-scores by statistics",
        ),
        Column("user_numbers", "array<float>", "numbers of the user in user_content; zeros where the user is not in users"),
        Column("user_labels", "array<int>", "labels of the user in user_content: indices in label_vocabulary, 0 padding"),
        Column("user_label_weights", "array<float>", "label_weights of the user in user_content"),
        Column("targets", "array<int>", "index of the next item; 0 padding"),
        Column("weights", "array<float>", "1 where the target counts in the example's split, else 0"),
        Column("target_values", "array<float>", "z-score of the next event's value; 0 where it has none"),
        Column("target_value_weights", "array<float>", "1 where the target counts and has a value, else 0"),
        Column("split", "string", "train, valid or test; a partition"),
        Column("length", "int", "entries of each array: the length bucket; a partition"),
    ),
    ("example_id",),
    ("split", "length"),
    # Some 14 MB of arrays. A trainer holds a few row groups of each length bucket, and permutes rows within them.
    row_group_bytes=8 << 20,
)

MODELS = Table(
    "models",
    "One row is a trained model, pinned to everything it was made from.",
    (
        Column(
            "model_id", "string", "hash of configuration, code, input versions and seed: the same inputs make the same model"
        ),
        Column("created_at", "timestamp", "when training ended, the last time that it was asked for, UTC"),
        Column("config", "string", "the scenario's model, training and sequence sections, as JSON"),
        Column("config_hash", "string", "hash of config"),
        Column("code_version", "string", "version and source hash of the code"),
        Column("inputs", "map<string,bigint>", "Delta version of each table that training read"),
        Column(
            "packages",
            "map<string,string>",
            "versions of the packages that decide the result, the device that it was computed on, and the threads of each worker",
        ),
        Column("seed", "bigint", "seed of initial weights, order and dropout"),
        Column("steps", "bigint", "optimiser steps of the exported weights"),
        Column("rows", "bigint", "training rows that an epoch streams, as counted"),
        Column("metrics", "map<string,double>", "last loss, best validation metrics, mean gates, seconds"),
        Column(
            "sizes",
            "map<string,bigint>",
            "sizes that the export was built with: items, categories, event types, features, max_length",
        ),
        Column(
            "export_path",
            "string",
            "folder of the exported model, <warehouse>/_models/<model_id> by the warehouse's name at the time: encoder.onnx, "
            "items.onnx, values.onnx, transitions.npz, item_values.npz, card.json",
        ),
    ),
    ("model_id",),
)


def _vectors(entity: str) -> Table:
    return Table(
        f"{entity}_vectors",
        f"One row is the fixed-length vector of one {entity} under one model; a score begins with the product of a user's and an item's.",
        (
            Column("model_id", "string", "model; a partition"),
            Column("date", "date", "as of the start of this day, UTC; a partition"),
            Column(f"{entity}_id", "string", entity),
            Column("vector", "array<float>", "model.dim numbers"),
        ),
        ("model_id", "date", f"{entity}_id"),
        ("model_id", "date"),
    )


USER_VECTORS = _vectors("user")
ITEM_VECTORS = _vectors("item")

RECOMMENDATIONS = Table(
    "recommendations",
    "One row is one recommended item of one user, as of the start of a day.",
    (
        Column("date", "date", "day the recommendations are for, UTC; the partition"),
        Column("user_id", "string", "user"),
        Column("rank", "int", "1 is the best"),
        Column("item_id", "string", "item"),
        Column(
            "score",
            "double",
            "of the source: the model's product of vectors with what usually comes after the user's last items on top, or the count "
            "that made an item popular; comparable within one source only",
        ),
        Column("source", "string", "model, popular_in_segment or popular"),
        Column(
            "value",
            "double",
            "what the user would give the item, in the unit of the source's values, or, of a model with training.loss.like_from, the "
            "probability that it is at least that; null: the source has no explicit values, training.loss.value is 0, or it is no item "
            "of the model",
            True,
        ),
        Column(
            "because_item_id",
            "string",
            "item of the user's past that is the most similar to this one by item_neighbours; null: none is its neighbour",
            True,
        ),
        Column("because_similarity", "double", "how similar it is, 0 to 1; null: none is", True),
        Column(
            "category_similarity",
            "double",
            "0 to 1: cosine of the item's categories and how often each stands in the user's past; null: one has none",
            True,
        ),
        Column(
            "content_similarity",
            "double",
            "-1 to 1: cosine of the item's numbers and texts, as item_content has them, and their mean over the user's past; "
            "null: one has none",
            True,
        ),
        Column("model_id", "string", "model of the run"),
    ),
    ("date", "user_id", "rank"),
    ("date",),
)

METRICS = Table(
    "metrics",
    "One row is one number about one model.",
    (
        Column("model_id", "string", "model of the evaluation; the partition"),
        Column("model", "string", "lakeformer, or a baseline's name"),
        Column("split", "string", "valid or test"),
        Column(
            "metric",
            "string",
            "hr, recall, precision, ndcg, mrr, accuracy, coverage; of explicit values rmse and mae in their unit, or like_accuracy",
        ),
        Column("k", "int", "cutoff; 0: none"),
        Column(
            "masked",
            "boolean",
            "true: items of the user's own history are left out of the ranking; one that came next is a miss",
        ),
        Column("value", "double", "the metric"),
        Column("low", "double", "lower end of the 95 % interval; null: none", True),
        Column("high", "double", "upper end of the 95 % interval; null: none", True),
        Column("users", "bigint", "users it is taken over"),
    ),
    ("model_id", "model", "split", "metric", "k", "masked"),
    ("model_id",),
)

RUNS = Table(
    "runs",
    "One row is one run of one job that reached its end, well or not.",
    (
        Column("run_id", "string", "run"),
        Column("job", "string", "job"),
        Column("started_at", "timestamp", "start, UTC"),
        Column("seconds", "double", "duration"),
        Column("arguments", "string", "dates, overrides and other arguments, as JSON"),
        Column("config_hash", "string", "hash of the whole configuration"),
        Column(
            "fingerprint",
            "string",
            "hash of configuration, code, dates, raw files and input versions: same means same result; empty: the run ended before it knew",
        ),
        Column(
            "recipe",
            "string",
            "hashes of configuration, and of code: same means same result from the same inputs; empty: likewise",
        ),
        Column("inputs", "map<string,bigint>", "table and Delta version that it read"),
        Column("outputs", "map<string,bigint>", "table and Delta version that it left"),
        Column("rows_in", "bigint", "rows read; null: the job does not account for rows", True),
        Column("rows_out", "bigint", "rows written of them; null: likewise", True),
        Column("rows_duplicate", "bigint", "rows that repeated another; null: likewise", True),
        Column("rows_refused", "bigint", "rows sent to quarantine; null: likewise", True),
        Column("counts", "map<string,bigint>", "further counts by name, such as events_refused_user_id_missing"),
        Column("exit_code", "int", "0 done, 1 a defect, 2 config, 3 contract, 4 no input, 5 leakage, 10 transient"),
        Column("error", "string", "message; null: none", True),
    ),
    ("run_id", "job"),
)


def all_tables(features: FeaturesConfig) -> dict[str, Table]:
    """Every table of a scenario by name."""
    tables = (
        EVENTS, QUARANTINE, ITEMS, USERS, STATISTICS,
        *[table(entity, features.of(entity)) for table in (day_table, feature_table) for entity in KEYS],
        FEATURE_STATISTICS, FEATURE_SELECTION,
        ITEM_VOCABULARY, USER_VOCABULARY, LABEL_VOCABULARY, PROJECTIONS, ITEM_CONTENT, USER_CONTENT,
        ITEM_NEIGHBOURS, ITEM_TRANSITIONS, ITEM_VALUES, SEQUENCES,
        MODELS, USER_VECTORS, ITEM_VECTORS, RECOMMENDATIONS, METRICS, RUNS,
    )  # fmt: skip
    return {t.name: t for t in tables}
