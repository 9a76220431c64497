"""Items, users and tags: parsed and checked row by row; then one row per id."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.cleaning.check_config import Check
from features.cleaning.checks import with_checks
from features.source.config import ItemSource, Repeats, TagSource, UserSource
from features.source.raw import SOURCE_ORDER, raw_text
from features.source.reader import Reader
from features.source.reasons import line_reasons
from features.source.values import as_number


def parse_items(raw: DataFrame, source: ItemSource, checks: Sequence[Check] = ()) -> DataFrame:
    """SOURCE_ORDER, file_day, raw, reasons, duplicate (null) and the columns of `items`; nothing is imputed yet."""
    read = Reader(raw, source.columns, source.missing)
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
        *[(f"{c}_malformed", read.has_unclear_indicator(c)) for c in ("categories", "tags")],
        ("media_malformed", F.exists(media, lambda part: part.isNull())),
    ]
    return with_checks(_parsed(raw, columns, line_reasons(raw, rules)), checks, {})


def parse_users(raw: DataFrame, source: UserSource, checks: Sequence[Check] = ()) -> DataFrame:
    """SOURCE_ORDER, file_day, raw, reasons, duplicate (null) and the columns of `users`; nothing is imputed."""
    read = Reader(raw, source.columns, source.missing)
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
    return with_checks(_parsed(raw, columns, line_reasons(raw, rules)), checks, {})


def with_superseded(rows: DataFrame, key: str, late: Sequence[str] = (), repeats: Repeats = "refuse") -> DataFrame:
    """Fills `reasons` and `duplicate` so that one row of each id stays: the last, in source order, that breaks no rule.

    Where files have days, it is one of the newest. Older rows are duplicates, superseded, where their files are of an earlier
    day or `repeats` is last, and else refused as <key>_duplicate. Newer ones are those that a `late` rule refuses; where it
    refuses them all, the last has its reason and the others are older.

    Args:
        rows: with reasons, and `duplicate`, which is null.
        late: reasons of rules that compare rows, such as price_outlier: an older row that has them is but an older row.
    """
    candidate = F.size(F.array_except("reasons", F.array(*[F.lit(reason) for reason in late]).cast("array<string>"))) == 0
    alone = F.when(~candidate, F.struct(*SOURCE_ORDER))  # else all refused rows without an id would meet in one task
    ids = Window.partitionBy(key, alone)
    nth = F.row_number().over(ids.orderBy(*[F.desc(c) for c in ("file_day", *SOURCE_ORDER)]))
    accepted_then_newest = F.struct((F.size("reasons") > 0).alias("refused"), "_nth", "file_day")
    numbered = rows.withColumn("_nth", nth).withColumn("_stays", F.min(accepted_then_newest).over(ids))
    older = candidate & (F.col("_nth") > F.col("_stays._nth"))
    newer_day = F.coalesce(F.col("file_day") < F.col("_stays.file_day"), F.lit(False))
    superseded = older & (F.lit(repeats == "last") | newer_day)
    repeat = F.when(superseded, F.array().cast("array<string>")).when(older, F.array(F.lit(f"{key}_duplicate")))
    return numbered.withColumns(
        {"reasons": repeat.otherwise(F.col("reasons")), "duplicate": F.when(superseded, "superseded")}
    ).drop("_nth", "_stays")


def parse_tags(raw: DataFrame, source: TagSource, items: DataFrame | None = None) -> DataFrame:
    """SOURCE_ORDER, file_day, raw, reasons, duplicate (null), item_id, tag; a tag of an item that `items` lacks is refused."""
    read = Reader(raw, source.columns, source.missing)
    columns = {"item_id": read.text("item_id"), "tag": read.text("tag")}
    rules = [(f"{name}_missing", read.text(name).isNull()) for name in columns]
    parsed = _parsed(raw, columns, line_reasons(raw, rules))
    if items is None:
        return parsed
    parsed = parsed.join(items.select("item_id", F.lit(True).alias("_known")), "item_id", "left")
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
    return raw.select(*SOURCE_ORDER, "file_day", *[c.alias(name) for name, c in (of_row | columns).items()])
