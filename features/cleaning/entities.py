"""Items, users and tags: parsed and checked row by row, one row per id."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.cleaning.check_config import Check
from features.cleaning.checks import with_checks, with_unique
from features.source.config import ItemSource, TagSource, UserSource
from features.source.parsing import PLACE, Reader, as_number, line_reasons, raw_text


def parse_items(raw: DataFrame, source: ItemSource, checks: Sequence[Check] = ()) -> DataFrame:
    """PLACE, file_day, raw, reasons, duplicate and the columns of `items`, without imputed values (every flag is false).

    An item that stands twice is taken from its last row, in source order, that keeps the other rules. Where files have days,
    it is one of the item's newest day, and rows of earlier days are duplicates, superseded; the others are refused as
    item_id_duplicate.
    """
    read = Reader(raw, source.columns)
    media = F.transform(read.parts("media"), lambda part: as_number(part).cast("float"))
    columns = {
        "item_id": read.text("item_id"),
        "title": read.text("title"),
        "categories": read.list("categories"),
        "tags": read.list("tags"),
        "price": read.number("price"),
        "year": read.number("year"),
        "text": read.text("text"),
        "media": F.when(F.size(media) > 0, media),
        "attributes": read.text_map(source.attributes),
        **{f"{c}_imputed": F.lit(False) for c in ("categories", "price", "year")},
    }
    rules = [
        ("item_id_missing", read.text("item_id").isNull()),
        *[(f"{c}_malformed", read.text(c).isNotNull() & read.number(c).isNull()) for c in ("price", "year")],
        ("media_malformed", F.exists(media, lambda part: part.isNull())),
    ]
    return _refuse_repeats(with_checks(_parsed(raw, columns, line_reasons(raw, rules)), checks, {}), "item_id", checks)


def parse_users(raw: DataFrame, source: UserSource, checks: Sequence[Check] = ()) -> DataFrame:
    """PLACE, file_day, raw, reasons, duplicate and the columns of `users`; a user who stands twice is treated as items are."""
    read = Reader(raw, source.columns)
    columns = {
        "user_id": read.text("user_id"),
        "segment": read.text("segment"),
        "age": read.number("age"),
        "age_imputed": F.lit(False),
        "attributes": read.text_map(source.attributes),
    }
    rules = [
        ("user_id_missing", read.text("user_id").isNull()),
        ("age_malformed", read.text("age").isNotNull() & read.number("age").isNull()),
    ]
    return _refuse_repeats(with_checks(_parsed(raw, columns, line_reasons(raw, rules)), checks, {}), "user_id", checks)


def parse_tags(raw: DataFrame, source: TagSource, items: DataFrame) -> DataFrame:
    """PLACE, file_day, raw, reasons, duplicate (null), item_id and tag; a tag of an item that is not in `items` is refused."""
    read = Reader(raw, source.columns)
    columns = {"item_id": read.text("item_id"), "tag": read.text("tag")}
    rules = [(f"{name}_missing", read.text(name).isNull()) for name in columns]
    known = items.select("item_id", F.lit(True).alias("_known"))
    parsed = _parsed(raw, columns, line_reasons(raw, rules)).join(known, "item_id", "left")
    unknown = F.col("item_id").isNotNull() & F.col("_known").isNull() & (F.size("reasons") == 0)
    refused = F.concat("reasons", F.array(F.lit("item_id_unknown")))
    return parsed.withColumn("reasons", F.when(unknown, refused).otherwise(F.col("reasons"))).drop("_known")


def with_tags(items: DataFrame, tags: DataFrame) -> DataFrame:
    """The items with the tags that people gave them: most frequent first, then by name; before those of the catalogue."""
    counted = tags.groupBy("item_id", "tag").count()
    ranked = F.sort_array(F.collect_list(F.struct((-F.col("count")).alias("rank"), "tag")))
    given = counted.groupBy("item_id").agg(F.transform(ranked, lambda pair: pair["tag"]).alias("_given"))
    both = F.array_distinct(F.concat(F.coalesce("_given", F.array().cast("array<string>")), F.col("tags")))
    return items.join(given, "item_id", "left").withColumn("tags", both).drop("_given")


def _parsed(raw: DataFrame, columns: dict[str, Column], reasons: Column) -> DataFrame:
    of_row = {"raw": raw_text(), "reasons": reasons, "duplicate": F.lit(None).cast("string")}
    return raw.select(*PLACE, "file_day", *[c.alias(name) for name, c in (of_row | columns).items()])


def _refuse_repeats(parsed: DataFrame, key: str, checks: Sequence[Check]) -> DataFrame:
    accepted = F.size("reasons") == 0
    last_first = Window.partitionBy(key, accepted).orderBy(*[F.desc(c) for c in ("file_day", *PLACE)])
    numbered = parsed.withColumns({"_nth": F.row_number().over(last_first), "_newest": F.first("file_day").over(last_first)})
    superseded = F.coalesce(accepted & (F.col("file_day") < F.col("_newest")), F.lit(False))
    repeat = F.when(accepted & (F.col("_nth") > 1) & ~superseded, F.array(F.lit(f"{key}_duplicate")))
    labelled = numbered.withColumns(
        {"reasons": repeat.otherwise(F.col("reasons")), "duplicate": F.when(superseded, "superseded")}
    )
    return with_unique(labelled.drop("_nth", "_newest"), checks)
