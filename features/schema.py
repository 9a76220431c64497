"""What a table's schema is, and how a DataFrame is held to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructField, StructType

from features.errors import ContractError

NUMBERS = ("int", "bigint", "double")  # types of one number


@cache
def data_type(ddl: str) -> DataType:
    """What Spark's short name of a type stands for. Python asks the JVM to parse it, for two milliseconds a column."""
    return DataType.fromDDL(ddl)


@dataclass(frozen=True)
class Column:
    """`type` is Spark's short name, as in SQL. A column that is never null says so by `nullable=False`."""

    name: str
    type: str
    comment: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    name: str
    comment: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]  # what makes a row unique
    partitions: tuple[str, ...] = ()
    row_group_bytes: int | None = None  # of its Parquet files, as encoded; null: Parquet's default, 128 MB

    @property
    def schema(self) -> StructType:
        return StructType(
            [
                StructField(c.name, data_type(c.type), c.nullable, {"comment": c.comment})  # comments live in Delta
                for c in self.columns
            ]
        )

    @property
    def skipping(self) -> tuple[str, ...]:
        """Columns of which each file tells the least and the greatest value, which readers choose and order files by: keys,
        days and instants.

        Delta takes them of the first 32 columns otherwise, which is a good part of what a wide table costs to write.
        """
        times = ("date", "timestamp")
        has_range = {c.name for c in self.columns if c.type in (*times, "string", "int", "bigint")}
        wanted = dict.fromkeys((*self.keys, *(c.name for c in self.columns if c.type in times)))
        return tuple(name for name in wanted if name in has_range and name not in self.partitions)


def conform(df: DataFrame, table: Table) -> DataFrame:
    """The table's columns of `df`, in order.

    Raises:
        ContractError: naming every column that is missing or has another type.
    """
    actual = {f.name: f.dataType.simpleString() for f in df.schema.fields}
    wrong = [
        f"{c.name} must be {c.type}, found {actual.get(c.name, 'no such column')}"
        for c in table.columns
        if actual.get(c.name) != data_type(c.type).simpleString()
    ]
    if wrong:
        raise ContractError(
            f"{table.name}: {'; '.join(wrong)}. It was written by another version or configuration: "
            "run the job that writes it once without dates and with --force, or put the table aside."
        )
    return df.select(*[c.name for c in table.columns])


def month_of(date: str) -> SparkColumn:
    """The month partition, such as 2026-11, of the day in column `date`, of the years 1000 to 9999."""
    ends = F.array(*[F.lit(f"-{number:02}") for number in range(1, 13)])  # a formatter takes several times as long
    return F.concat(F.year(date).cast("string"), F.element_at(ends, F.month(date)))


DATE = Column("date", "date", "day in UTC")
# A table of a catalogue of years would have thousands of day partitions with a file of a few rows each; a month holds
# enough rows for a file, and file statistics on `date` still let a reader skip to the day.
MONTH = Column("month", "string", "month of date, as 2026-11; the partition")
