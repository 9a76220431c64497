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


def counts_part(of: str) -> Part:
    label = column_name(of)
    return Part(f"{label}_events", "map<string,bigint>", f"events by {label}; empty: none has one", of)


def sketch_part(of: str) -> Part:
    label = column_name(of)
    comment = f"HyperLogLog sketch of {label} (Apache DataSketches), which unions count distinct labels"
    return Part(f"{label}_sketch", "binary", comment, of, lambda inside: F.hll_sketch_agg(F.when(inside, event_column(of))))


def let(value: Column, body: Callable[[Column], Column]) -> Column:
    """`body` of a value that is computed once: an expression that stands in a lambda is computed for each of its elements."""
    return F.transform(F.array(value), body)[0]


def sum_of_values(entries: Column) -> Column:
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
    return let(F.sort_array(entries), _sum_runs)  # array_sort compares by an expression, which takes ten times as long


def _sum_runs(entries: Column) -> Column:
    """`summed_by_key` of sorted entries, in which each key is a run of neighbours."""
    starts = F.filter(F.transform(entries, lambda _, at: at), lambda at: _starts_run(entries, at))
    return let(starts, lambda starts: F.transform(starts, lambda start, n: _run(entries, start, F.get(starts, n + 1))))


def _starts_run(entries: Column, at: Column) -> Column:
    return ~entries[at]["key"].eqNullSafe(F.get(entries, at - 1)["key"])


def _run(entries: Column, start: Column, next_start: Column) -> Column:
    """One key with its sum; `next_start` is null for the last one."""
    end = F.coalesce(next_start, F.size(entries))
    return F.struct(entries[start]["key"].alias("key"), sum_of_values(F.slice(entries, start + 1, end - start)).alias("value"))


def shares(sums: Column, smoothing: float = 0.0) -> Column:
    """Map of each key to its part of the sum of all and `smoothing`."""
    return let(sums, lambda sums: let(sum_of_values(sums) + smoothing, lambda whole: _divided(sums, whole)))


def _divided(entries: Column, whole: Column) -> Column:
    return F.map_from_entries(F.transform(entries, lambda entry: F.struct(entry["key"], entry["value"] / whole)))


class _OfLabel(Operation):
    accepts = frozenset({"label", "list"})

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        return (counts_part(feature.of),)

    def summed(self, feature: Feature, past: Past) -> Column:
        """Entries of each label with its events in the window, in the order of labels."""
        return summed_by_key(F.flatten(F.transform(past.list(counts_part(feature.of)), F.map_entries)))


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
        part = counts_part(feature.of)
        tile = F.struct(past.tile_date.alias("day"), F.map_entries(past.column(part)).alias("counts"))
        tiles = past.over(F.collect_list(F.when(past.column(part).isNotNull(), tile)))
        decayed = F.flatten(F.transform(tiles, lambda tile: self._decayed(tile, feature)))
        return shares(summed_by_key(decayed), float(feature.smoothing or 0))

    def _decayed(self, tile: Column, feature: Feature) -> Column:
        """Entries of a tile's labels; `day` comes before the value, so that sums are made from the oldest on."""

        def entry(count: Column, weight: Column) -> Column:
            return F.struct(count["key"].alias("key"), tile["day"].alias("day"), (count["value"] * weight).alias("value"))

        return let(decay(tile["day"], feature), lambda weight: F.transform(tile["counts"], lambda n: entry(n, weight)))

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
        maps = past.list(counts_part(feature.of))
        return F.size(F.array_distinct(F.flatten(F.transform(maps, F.map_keys))))

    def text(self, feature: Feature) -> str:
        return f"number of different {feature.column}"


class DistinctSketch(_OfLabel):
    """As Distinct, but within some 1 to 2 percent, in a few kilobytes however many labels there are.

    A sketch estimates by the order in which it has met labels and other sketches, which is that of Spark's partitions.
    """

    accepts, type, empty = frozenset({"label"}), "bigint", "0: none"
    # Four standard errors, each 1.04 / sqrt(2 ** 12), with Spark's 12 bits (Flajolet et al. 2007, HyperLogLog). As estimates
    # are whole numbers, those below 15 must be equal.
    tolerance = 4 * 1.04 / 2**6

    def parts(self, feature: Feature) -> tuple[Part, ...]:
        return (sketch_part(feature.of),)

    def value(self, feature: Feature, past: Past) -> Column:
        union = past.over(F.hll_union_agg(past.column(sketch_part(feature.of))))
        return F.coalesce(F.hll_sketch_estimate(union), F.lit(0).cast("bigint"))

    def text(self, feature: Feature) -> str:
        return f"number of different {feature.column}, estimated by HyperLogLog,"
