import dataclasses
import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from features.errors import ContractError, NoInputError
from features.schema import Column, Table
from features.tables import METRICS, SEQUENCES
from jobs.runtime.dates import DateRange
from jobs.runtime.errors import ConfigError, TransientError
from jobs.runtime.files import hadoop_path
from jobs.runtime.warehouse import Warehouse, equals

DAYS = Table(
    "days",
    "Something of each day.",
    (
        Column("date", "date", "the day"),
        Column("number", "bigint", "how many"),
        Column("note", "string", "a remark; null: none", nullable=True),
    ),
    ("date",),
)
FIRST, SECOND, THIRD = (datetime.date(2026, 1, day) for day in (1, 2, 3))


@pytest.fixture
def warehouse(spark: SparkSession, tmp_path: Path) -> Warehouse:
    return Warehouse(spark, str(tmp_path / "warehouse"))


def days(warehouse: Warehouse, numbers: dict[datetime.date, int]) -> DataFrame:
    return warehouse.spark.createDataFrame([(d, n, None) for d, n in numbers.items()], DAYS.schema)


def found(warehouse: Warehouse, version: int | None = None) -> dict[datetime.date, int]:
    return {row["date"]: row["number"] for row in warehouse.read(DAYS, version).collect()}


def test_a_write_replaces_the_rows_that_it_is_about_and_keeps_the_others(warehouse: Warehouse) -> None:
    assert warehouse.write(DAYS, days(warehouse, {FIRST: 1, SECOND: 2, THIRD: 3})).rows == 3
    written = warehouse.write(DAYS, days(warehouse, {SECOND: 20}), DateRange(SECOND, SECOND).predicate())
    assert (written.rows, found(warehouse)) == (1, {FIRST: 1, SECOND: 20, THIRD: 3})
    assert found(warehouse, written.version - 1) == {FIRST: 1, SECOND: 2, THIRD: 3}


def test_the_same_write_twice_leaves_the_same_rows(warehouse: Warehouse) -> None:
    for _ in range(2):
        warehouse.write(DAYS, days(warehouse, {FIRST: 1, SECOND: 2}))
    assert found(warehouse) == {FIRST: 1, SECOND: 2}


def test_the_size_of_a_table_is_that_of_the_files_of_a_version(warehouse: Warehouse) -> None:
    whole = warehouse.write(DAYS, days(warehouse, {FIRST: 1, SECOND: 2, THIRD: 3})).version
    fewer = warehouse.write(DAYS, days(warehouse, {FIRST: 1})).version
    for version in (whole, fewer):
        files = DeltaTable(warehouse.path("days"), version=version).file_uris()
        assert warehouse.size("days", version) == sum(Path(file).stat().st_size for file in files) > 0


def test_no_rows_can_replace_no_rows(warehouse: Warehouse) -> None:
    for where in (None, DateRange(FIRST, FIRST).predicate()):
        assert warehouse.write(DAYS, days(warehouse, {SECOND: 2}).limit(0), where).rows == 0
    assert found(warehouse) == {}


def test_runs_at_the_same_time_lose_and_double_nothing(warehouse: Warehouse) -> None:
    def replace(day: datetime.date) -> int:
        return warehouse.write(DAYS, days(warehouse, {day: day.day}), DateRange(day, day).predicate()).rows

    with ThreadPoolExecutor(4) as pool:  # two runs of each of two days, and no table when they begin
        assert list(pool.map(replace, [FIRST, SECOND, FIRST, SECOND])) == [1, 1, 1, 1]
    assert sorted(row["number"] for row in warehouse.read(DAYS).collect()) == [1, 2]


def test_rows_outside_the_replaced_days_are_refused_by_delta(warehouse: Warehouse) -> None:
    warehouse.write(DAYS, days(warehouse, {FIRST: 1}))
    with pytest.raises(Exception, match="REPLACE_WHERE"):
        warehouse.write(DAYS, days(warehouse, {THIRD: 3}), DateRange(SECOND, SECOND).predicate())
    assert found(warehouse) == {FIRST: 1}


def test_rows_are_added_to_the_version_that_they_were_computed_from(warehouse: Warehouse) -> None:
    warehouse.create(DAYS)
    first = warehouse.append_since(DAYS, days(warehouse, {FIRST: 1}), since=0)
    second = warehouse.append_since(DAYS, days(warehouse, {SECOND: 2, THIRD: 3}), since=first.version)
    assert (first.rows, second.rows, found(warehouse)) == (1, 2, {FIRST: 1, SECOND: 2, THIRD: 3})
    with pytest.raises(TransientError, match=f"days: another run has written it since version {first.version}. Try again."):
        warehouse.append_since(DAYS, days(warehouse, {THIRD: 2}), since=first.version)
    assert found(warehouse) == {FIRST: 1, SECOND: 2, THIRD: 3}


def test_of_two_runs_that_have_seen_the_same_version_one_adds_its_rows(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.create(DAYS)
    other = Warehouse(warehouse.spark, warehouse.root)
    asked = other.version

    def version(name: str) -> int | None:
        """The other run commits right after we have looked."""
        monkeypatch.undo()
        seen = asked(name)
        warehouse.append_since(DAYS, days(warehouse, {FIRST: 1}), since=0)
        return seen

    monkeypatch.setattr(other, "version", version)
    with pytest.raises(TransientError, match="another run has written it since version 0"):
        other.append_since(DAYS, days(warehouse, {SECOND: 1}), since=0)
    assert found(warehouse) == {FIRST: 1}


def test_of_two_runs_that_add_at_the_same_time_one_is_refused(warehouse: Warehouse) -> None:
    warehouse.create(DAYS)

    def add(day: datetime.date) -> int:
        try:
            return warehouse.append_since(DAYS, days(warehouse, {day: 1}), since=0).rows
        except TransientError:
            return 0

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(add, (FIRST, SECOND))) == 1
    assert len(found(warehouse)) == 1


def test_an_append_with_the_same_token_counts_once(warehouse: Warehouse) -> None:
    for token in ("a", "a", "b"):
        warehouse.append_once(DAYS, days(warehouse, {FIRST: 1}), token)
    assert warehouse.read(DAYS).count() == 2


def test_the_table_carries_the_comments_and_refuses_nulls(warehouse: Warehouse) -> None:
    warehouse.write(DAYS, days(warehouse, {FIRST: 1}))
    schema = warehouse.spark.read.format("delta").load(warehouse.path("days")).schema
    assert schema["number"].metadata["comment"] == "how many"
    empty_number = warehouse.spark.createDataFrame([(FIRST, None, None)], "date date, number bigint, note string")
    with pytest.raises(Exception, match="NOT NULL"):
        warehouse.write(DAYS, empty_number, DateRange(FIRST, FIRST).predicate())


def test_a_whole_write_brings_the_comments_of_today_and_leaves_the_columns_as_they_are(warehouse: Warehouse) -> None:
    warehouse.write(DAYS, days(warehouse, {FIRST: 1}))
    before = warehouse.spark.read.format("delta").load(warehouse.path("days")).schema
    number = Column("number", "bigint", "how many of 'them'; `quoted`")
    today = dataclasses.replace(DAYS, columns=(DAYS.columns[0], number, DAYS.columns[2]))
    written = warehouse.write(today, days(warehouse, {SECOND: 2}))
    assert (written.rows, written.version) == (1, warehouse.version("days"))
    after = warehouse.spark.read.format("delta").load(warehouse.path("days")).schema
    assert {f.name: f.metadata["comment"] for f in after} == {c.name: c.comment for c in today.columns}
    assert [(f.name, f.dataType, f.nullable) for f in after] == [(f.name, f.dataType, f.nullable) for f in before]
    assert warehouse.write(today, days(warehouse, {SECOND: 2})).version == written.version + 1  # nothing but the rows


def test_files_tell_the_ranges_of_keys_and_times_alone(warehouse: Warehouse) -> None:
    """The stream orders files by example_id; numbers of a wide table would cost more to tell than to write."""
    assert SEQUENCES.skipping == ("example_id", "last_time", "target_time")
    assert METRICS.skipping == ("model", "split", "metric", "k")  # no partition, and a boolean has no range
    warehouse.create(SEQUENCES)
    detail = warehouse.spark.sql(f"DESCRIBE DETAIL delta.`{warehouse.path('sequences')}`").select("properties").head()
    assert detail[0]["delta.dataSkippingStatsColumns"] == "example_id,last_time,target_time"


def test_files_have_row_groups_of_the_size_that_the_table_declares(warehouse: Warehouse) -> None:
    numbers = warehouse.spark.range(100_000, numPartitions=1)  # 8 bytes each, all different
    rows = numbers.selectExpr("DATE'2026-01-01' AS date", "xxhash64(id) AS number", "CAST(NULL AS STRING) AS note")
    sizes = []
    for table in (dataclasses.replace(DAYS, row_group_bytes=64 << 10), DAYS):
        warehouse.write(table, rows)
        (file,) = DeltaTable(warehouse.path("days")).file_uris()
        groups = pq.ParquetFile(file).metadata
        sizes.append([groups.row_group(n).total_byte_size for n in range(groups.num_row_groups)])
    assert max(sizes[0]) <= 64 << 10
    assert len(sizes[1]) == 1 and sizes[1][0] >= 800_000


def test_a_table_of_another_schema_is_refused_by_column(warehouse: Warehouse) -> None:
    other = Table("days", "As an older version wrote it.", (Column("date", "string", "the day"),), ("date",))
    warehouse.write(other, warehouse.spark.createDataFrame([("2026-01-01",)], "date string"))
    with pytest.raises(ContractError) as caught:
        warehouse.read(DAYS)
    assert "days: date must be date, found string; number must be bigint, found no such column" in str(caught.value)
    assert "run the job that writes it once without dates and with --force" in str(caught.value)


def test_replacing_some_rows_of_a_table_with_more_columns_is_refused(warehouse: Warehouse) -> None:
    wider = Table("days", "Wider.", (*DAYS.columns, Column("extra", "int", "more")), ("date",))
    warehouse.write(wider, days(warehouse, {FIRST: 1}).selectExpr("*", "1 AS extra"))
    with pytest.raises(ContractError, match=r"has columns that the configuration does not: \['extra'\]"):
        warehouse.write(DAYS, days(warehouse, {FIRST: 1}), DateRange(FIRST, FIRST).predicate())
    warehouse.write(DAYS, days(warehouse, {FIRST: 1}))
    assert found(warehouse) == {FIRST: 1}


def test_a_table_that_is_not_there_names_its_path(warehouse: Warehouse) -> None:
    with pytest.raises(NoInputError, match=r"days: there is no table at .*/days\. Run the job that writes it first"):
        warehouse.read(DAYS)
    assert warehouse.version("days") is None


def test_a_warehouse_that_cannot_be_written_is_named(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match=r"warehouse: must be a folder that can be written. Received '.*/file/below'"):
        Warehouse(spark, str(tmp_path / "file" / "below")).check_writable()


@pytest.fixture
def hdfs_by_default(spark: SparkSession) -> Iterator[None]:
    """As on most clusters; nobody answers at this one's address."""
    conf = spark._jsc.hadoopConfiguration()
    before = conf.get("fs.defaultFS")
    conf.set("fs.defaultFS", "hdfs://127.0.0.1:1")
    yield
    conf.set("fs.defaultFS", before)


def test_a_bare_path_is_one_of_the_default_file_system_and_file_names_this_machine(
    spark: SparkSession, tmp_path: Path, hdfs_by_default: None
) -> None:
    assert Warehouse(spark, "/lake").root == "hdfs://127.0.0.1:1/lake"
    warehouse = Warehouse(spark, f"file://{tmp_path}/lake/")
    assert warehouse.root == f"file:{tmp_path}/lake"
    warehouse.write(DAYS, days(warehouse, {FIRST: 1}))
    assert (tmp_path / "lake" / "days" / "_delta_log").is_dir()


def test_where_files_are_the_default_a_path_is_bare(spark: SparkSession, tmp_path: Path) -> None:
    for given in (f"{tmp_path}/lake", f"file:{tmp_path}/lake", f"file://{tmp_path}/lake/"):
        assert Warehouse(spark, given).root == f"{tmp_path}/lake"


def test_tables_are_registered_in_the_catalog_that_is_configured(spark: SparkSession, tmp_path: Path) -> None:
    warehouse = Warehouse(spark, str(tmp_path / "warehouse"), catalog="default")
    try:
        warehouse.write(DAYS, days(warehouse, {FIRST: 7}))
        assert spark.table("default.days").select("number").collect()[0][0] == 7
    finally:
        spark.sql("DROP TABLE IF EXISTS default.days")


def test_a_catalog_that_is_no_schema_is_named_with_what_makes_it(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"catalog: must be a schema that is there. Received 'nowhere', which CREATE SCHEMA"):
        Warehouse(spark, str(tmp_path), catalog="nowhere").check_catalog(["days"])
    with pytest.raises(ConfigError, match=r"catalog: must be a schema.* Received 'no_catalog.nowhere'"):
        Warehouse(spark, str(tmp_path), catalog="no_catalog.nowhere").check_catalog(["days"])


def test_a_second_warehouse_does_not_take_the_names_of_the_first(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (Warehouse(spark, str(tmp_path / folder), catalog="default") for folder in ("of one", "two"))
    try:
        first.create(DAYS)
        first.check_catalog(["days", "never_made"])
        with pytest.raises(ConfigError, match=rf"catalog: default.days must be the table at {second.path('days')}. Received"):
            second.check_catalog(["days"])
        with monkeypatch.context() as moment:  # another run registers the table right after we have looked
            asked = first.catalog.has
            moment.setattr(first.catalog, "has", lambda name: (moment.undo(), not asked(name))[1])
            first.create(DAYS)
    finally:
        spark.sql("DROP TABLE IF EXISTS default.days")


def test_jobs_that_begin_at_the_same_time_try_the_warehouse_with_files_of_their_own(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(
        "jobs.runtime.warehouse.hadoop_path", lambda spark, path: (tried.append(path), hadoop_path(spark, path))[1]
    )
    for _ in range(2):
        warehouse.check_writable()
    assert len(set(tried)) == 2 and list(Path(warehouse.root).iterdir()) == []


def test_a_value_cannot_become_sql() -> None:
    assert equals(model_id="a-1", date=FIRST) == "model_id = 'a-1' AND date = DATE'2026-01-01'"
    with pytest.raises(ValueError, match="letters, digits"):
        equals(model_id="' OR 1=1 --")
