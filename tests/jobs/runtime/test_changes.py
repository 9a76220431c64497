from pyspark.sql import SparkSession

from jobs.runtime.changes import changed_groups


def test_a_value_that_moves_from_one_column_to_another_is_a_change(spark: SparkSession) -> None:
    before, now = [("moved", 1999.0, None, -1), ("kept", 5.0, None, -1)], [("moved", None, 1999.0, 1), ("kept", 5.0, None, 1)]
    rows = spark.createDataFrame([*before, *now], "item_id string, price double, year double, sign int")
    assert [row["item_id"] for row in changed_groups(rows, "item_id", ("price", "year")).collect()] == ["moved"]
