"""Operations on a label that events have: category, item, type, hour, weekday, or a label of their context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.operations.base import Operation, Part, Past, as_name
from features.operations.counts import decay

if TYPE_CHECKING:
    from features.features_config import Feature


def counts(label: str) -> Part:
    return Part(f"{label}_events", "map<string,bigint>", f"events by {label}; empty: none has one", label=label)


def sketch(label: str) -> Part:
    comment = f"HyperLogLog sketch of {label} (Apache DataSketches), which unions count distinct labels"
    return Part(f"{label}_sketch", "binary", comment, lambda inside: F.hll_sketch_agg(F.when(inside, F.col(label))))


def merged(maps: Column) -> Column:
    """Sum of an array of maps, label by label."""

    def add(sum_: Column, tile: Column) -> Column:
        return F.map_zip_with(sum_, tile, lambda _, a, b: F.coalesce(a, F.lit(0)) + F.coalesce(b, F.lit(0)))

    return F.aggregate(maps, F.create_map().cast("map<string,bigint>"), add)


def summed(maps: Column) -> Column:
    """Sum of all counts of an array of maps."""
    return F.aggregate(F.flatten(F.transform(maps, F.map_values)), F.lit(0).cast("bigint"), lambda a, n: a + n)


class _OfLabel(Operation):
    about = frozenset({"label", "list"})

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        return (counts(feature.column),)


class Share(_OfLabel):
    """The profile of a key over a label; over hour and weekday, too."""

    type, empty = "map<string,double>", "empty: none"

    def value(self, feature: Feature, past: Past) -> Column:
        maps = past.list(counts(feature.column))
        number = summed(maps)
        shares = F.transform_values(merged(maps), lambda _, n: n / number)
        return F.map_from_entries(F.array_sort(F.map_entries(shares)))

    def text(self, feature: Feature) -> str:
        return f"share of each {feature.column} among all of them, sums to 1,"


class Interest(_OfLabel):
    """What a key is interested in now: a share that forgets, and that is sure of nothing while it has seen little.

    Each label's decayed count is divided by the decayed count of all labels plus `smoothing`, so that the map adds up to
    less than 1: the rest is what is not known of the key.
    """

    type, empty, needs = "map<string,double>", "empty: none", frozenset({"half_life", "smoothing"})

    def value(self, feature: Feature, past: Past) -> Column:
        part = counts(feature.column)
        tile = F.struct(past.tile_date.alias("day"), F.map_entries(past.column(part)).alias("counts"))
        tiles = F.array_sort(past.over(F.collect_list(F.when(past.column(part).isNotNull(), tile))))  # in one order
        weighed = F.flatten(
            F.transform(
                tiles,
                lambda tile: F.transform(
                    tile["counts"],
                    lambda one: F.struct(one["key"].alias("label"), (one["value"] * decay(tile["day"], feature)).alias("n")),
                ),
            )
        )
        whole = F.aggregate(weighed, F.lit(float(feature.smoothing or 0)), lambda sum_, one: sum_ + one["n"])
        labels = F.array_sort(F.array_distinct(F.transform(weighed, lambda one: one["label"])))

        def interest(label: Column) -> Column:
            own = F.filter(weighed, lambda one: one["label"] == label)
            return F.aggregate(own, F.lit(0.0), lambda sum_, one: sum_ + one["n"]) / whole

        return F.map_from_arrays(labels, F.transform(labels, interest))

    def text(self, feature: Feature) -> str:
        return (
            f"interest in each {feature.column}: events, each counted as 1/2 to the power of its age in days by "
            f"{feature.half_life}, divided by those of all plus {feature.smoothing},"
        )

    def name(self, feature: Feature) -> str:
        return f"interest_{as_name(feature.half_life)}d"


class Entropy(_OfLabel):
    type, empty, nullable = "double", "null: none", True

    def value(self, feature: Feature, past: Past) -> Column:
        maps = past.list(counts(feature.column))
        number = summed(maps)
        numbers = F.array_sort(F.map_values(merged(maps)))
        sum_ = F.aggregate(numbers, F.lit(0.0), lambda s, n: s - n / number * F.log(n / number))
        return F.when(number > 0, sum_)

    def text(self, feature: Feature) -> str:
        return f"entropy of the shares of {feature.column} in nats, 0: one alone,"


class Distinct(_OfLabel):
    type, empty = "int", "0: none"

    def value(self, feature: Feature, past: Past) -> Column:
        maps = past.list(counts(feature.column))
        return F.size(F.array_distinct(F.flatten(F.transform(maps, F.map_keys))))

    def text(self, feature: Feature) -> str:
        return f"number of different {feature.column}"


class DistinctSketch(_OfLabel):
    """As Distinct, but within some 1 to 2 percent, in a few kilobytes however many labels there are."""

    about, type, empty = frozenset({"label"}), "bigint", "0: none"

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        return (sketch(feature.column),)

    def value(self, feature: Feature, past: Past) -> Column:
        union = past.over(F.hll_union_agg(past.column(sketch(feature.column))))
        return F.coalesce(F.hll_sketch_estimate(union), F.lit(0).cast("bigint"))

    def text(self, feature: Feature) -> str:
        return f"number of different {feature.column}, estimated by HyperLogLog,"
