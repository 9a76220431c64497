"""Operations on a label that events have: category, item, type, hour, weekday, or a label of their context."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.trailing.operations.base import Operation, Part, Past, as_name, column_name, event_column
from features.trailing.operations.counts import decay

if TYPE_CHECKING:
    from features.trailing.feature import Feature


def counts(of: str) -> Part:
    label = column_name(of)
    return Part(f"{label}_events", "map<string,bigint>", f"events by {label}; empty: none has one", of)


def sketch(of: str) -> Part:
    label = column_name(of)
    comment = f"HyperLogLog sketch of {label} (Apache DataSketches), which unions count distinct labels"
    return Part(f"{label}_sketch", "binary", comment, of, lambda inside: F.hll_sketch_agg(F.when(inside, event_column(of))))


def let(value: Column, body: Callable[[Column], Column]) -> Column:
    """`body` of a value that is computed once: an expression that stands in a lambda is computed for each of its elements."""
    return F.transform(F.array(value), body)[0]


def total(entries: Column) -> Column:
    """Sum of the values of an array of entries; whole numbers are exact in it, too."""
    return F.aggregate(entries, F.lit(0.0), lambda sum_, entry: sum_ + entry["value"])


def summed_by_key(entries: Column) -> Column:
    """Entries with the sum of the values of each key, in the order of keys.

    Sorts what there is and adds up neighbours; maps that are added up one after the other take as many steps each as their
    sum has keys by then.

    Args:
        entries: array of structs that begin with `key` and have `value`. The values of a key are added in the order of the
            other fields, so that a sum of floats does not hang on the order of entries.
    """

    def sums(ordered: Column) -> Column:
        def begins(at: Column) -> Column:
            return ~ordered[at]["key"].eqNullSafe(F.get(ordered, at - 1)["key"])

        def of_key(first: Column, end: Column) -> Column:
            own = F.slice(ordered, first + 1, end - first)
            return F.struct(ordered[first]["key"].alias("key"), total(own).alias("value"))

        def between(firsts: Column) -> Column:
            return F.transform(firsts, lambda first, nth: of_key(first, F.coalesce(F.get(firsts, nth + 1), F.size(ordered))))

        return let(F.filter(F.transform(ordered, lambda _, at: at), begins), between)

    return let(F.sort_array(entries), sums)  # array_sort compares by an expression, which takes ten times as long


def shares(sums: Column, smoothing: float = 0.0) -> Column:
    """Map of each key to its part of the sum of all and `smoothing`."""

    def of(sums: Column) -> Column:
        return let(
            total(sums) + smoothing,
            lambda whole: F.map_from_entries(F.transform(sums, lambda e: F.struct(e["key"], e["value"] / whole))),
        )

    return let(sums, of)


class _OfLabel(Operation):
    about = frozenset({"label", "list"})

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        return (counts(feature.of),)

    def summed(self, feature: Feature, past: Past) -> Column:
        """Entries of each label with its events in the window, in the order of labels."""
        return summed_by_key(F.flatten(F.transform(past.list(counts(feature.of)), F.map_entries)))


class Share(_OfLabel):
    """The profile of a key over a label; over hour and weekday, too."""

    type, empty = "map<string,double>", "empty: none"

    def value(self, feature: Feature, past: Past) -> Column:
        return shares(self.summed(feature, past))

    def text(self, feature: Feature) -> str:
        return f"share of each {feature.column} among all of them, sums to 1,"


class Interest(_OfLabel):
    """What a key is interested in now: a share that forgets, and that is sure of nothing while it has seen little.

    Each label's decayed count is divided by the decayed count of all labels plus `smoothing`, so that the map adds up to
    less than 1: the rest is what is not known of the key.
    """

    type, empty, needs = "map<string,double>", "empty: none", frozenset({"half_life", "smoothing"})

    def value(self, feature: Feature, past: Past) -> Column:
        part = counts(feature.of)
        tile = F.struct(past.tile_date.alias("day"), F.map_entries(past.column(part)).alias("counts"))
        tiles = past.over(F.collect_list(F.when(past.column(part).isNotNull(), tile)))

        def weighed(tile: Column) -> Column:
            def of_age(weight: Column) -> Column:
                return F.transform(
                    tile["counts"],
                    lambda one: F.struct(
                        one["key"].alias("key"), tile["day"].alias("day"), (one["value"] * weight).alias("value")
                    ),
                )

            return let(decay(tile["day"], feature), of_age)

        return shares(summed_by_key(F.flatten(F.transform(tiles, weighed))), float(feature.smoothing or 0))

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
        numbers = F.sort_array(F.transform(self.summed(feature, past), lambda e: e["value"]))

        def entropy(numbers: Column) -> Column:
            whole = F.aggregate(numbers, F.lit(0.0), lambda sum_, n: sum_ + n)
            sum_ = let(whole, lambda all_: F.aggregate(numbers, F.lit(0.0), lambda s, n: s - n / all_ * F.log(n / all_)))
            return F.when(F.size(numbers) > 0, sum_)

        return let(numbers, entropy)

    def text(self, feature: Feature) -> str:
        return f"entropy of the shares of {feature.column} in nats, 0: one alone,"


class Distinct(_OfLabel):
    type, empty = "int", "0: none"

    def value(self, feature: Feature, past: Past) -> Column:
        maps = past.list(counts(feature.of))
        return F.size(F.array_distinct(F.flatten(F.transform(maps, F.map_keys))))

    def text(self, feature: Feature) -> str:
        return f"number of different {feature.column}"


class DistinctSketch(_OfLabel):
    """As Distinct, but within some 1 to 2 percent, in a few kilobytes however many labels there are.

    A sketch estimates by the order in which it has met labels and other sketches, which is that of Spark's partitions.
    """

    about, type, empty = frozenset({"label"}), "bigint", "0: none"
    # Four standard errors, each 1.04 / sqrt(2 ** 12), with Spark's 12 bits (Flajolet et al. 2007, HyperLogLog). As estimates
    # are whole numbers, those below 15 must be equal.
    tolerance = 4 * 1.04 / 2**6

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        return (sketch(feature.of),)

    def value(self, feature: Feature, past: Past) -> Column:
        union = past.over(F.hll_union_agg(past.column(sketch(feature.of))))
        return F.coalesce(F.hll_sketch_estimate(union), F.lit(0).cast("bigint"))

    def text(self, feature: Feature) -> str:
        return f"number of different {feature.column}, estimated by HyperLogLog,"
