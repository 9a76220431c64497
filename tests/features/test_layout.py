import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from features import layout
from features.layout import rows_per_file, spread


def test_a_file_holds_as_many_rows_as_fill_it_but_thousands_at_least():
    assert rows_per_file(length=200, features=5) == (64 << 20) // (200 * 64)
    assert rows_per_file(length=10_000, features=100) == 2_000


def test_rows_are_spread_over_files_in_an_order_of_hashes_that_is_the_same_in_every_build(spark, monkeypatch, tmp_path):
    monkeypatch.setattr(layout, "rows_per_file", lambda length, features: 100)
    examples = spark.range(1000).select(
        F.concat(F.lit("u"), "id").alias("example_id"),
        F.when(F.col("id") < 950, "train").otherwise("test").alias("split"),
        F.lit(8).alias("length"),
    )
    rows = {("train", 8): 950, ("test", 8): 50}
    orders = []
    for build in ("one", "two"):
        path = str(tmp_path / build)
        spread(examples.repartition(3 if build == "one" else 2), rows, features=0).write.partitionBy("split", "length").parquet(
            path
        )
        files = sorted(spark.read.parquet(path).inputFiles())
        orders.append([[r[0] for r in spark.read.parquet(f).collect()] for f in files])
    by_size = [sorted(map(tuple, order), key=len) for order in orders]
    assert by_size[0] == by_size[1]
    assert len(by_size[0][0]) == 50  # the small partition is one file
    assert 3 <= len(by_size[0]) <= 11
    assert sorted(x for f in by_size[0] for x in f) == sorted(f"u{n}" for n in range(1000))
    for file in by_size[0]:
        numbers = [int(x[1:]) for x in file]
        assert numbers != sorted(numbers)


@pytest.mark.parametrize("order", [(), ("key",)])
def test_rows_of_one_partition_are_written_to_one_file_in_the_order_of_their_key(spark, tmp_path, order):
    df = spark.range(0, 100, 1, 4).select((F.col("id") % 3).alias("month"), (F.col("id") * 37 % 100).alias("key"))
    layout.together(df, "month", *order).write.partitionBy("month").parquet(str(tmp_path / "t"))
    files = [pq.read_table(file)["key"].to_pylist() for file in (tmp_path / "t").rglob("*.parquet")]
    assert len(files) == 3 and sum(map(len, files)) == 100
    assert all(keys == sorted(keys) for keys in files) == bool(order)
