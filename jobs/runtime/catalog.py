"""The schema of a catalog that the tables of a warehouse are registered in, so that SQL finds them by name."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import SparkSession

from jobs.runtime.errors import ConfigError, reason
from jobs.runtime.files import qualified


class Catalog:
    def __init__(self, spark: SparkSession, schema: str) -> None:
        self.spark, self.schema = spark, schema

    def check(self, paths: Mapping[str, str]) -> None:
        """Raises ConfigError where the schema is not there, or where a table of one of these names lies elsewhere."""
        try:
            there = self.spark.catalog.databaseExists(self.schema)
        except Exception as error:
            raise ConfigError(f"catalog: must be a schema. Received {self.schema!r}: {reason(error)}") from error
        if not there:
            raise ConfigError(
                f"catalog: must be a schema that is there. Received {self.schema!r}, which CREATE SCHEMA {self.schema} makes."
            )
        for name, path in paths.items():
            found = self._location(name)
            if found is not None and qualified(self.spark, found) != qualified(self.spark, path):
                raise ConfigError(
                    f"catalog: {self.schema}.{name} must be the table at {path}. Received the one at {found}: "
                    "another warehouse needs another schema."
                )

    def register(self, name: str, path: str) -> None:
        """Registers the Delta table at a path, where there is none of that name yet."""
        if self.has(name):
            return
        try:
            self.spark.catalog.createTable(f"{self.schema}.{name}", path=path, source="delta")
        except Exception:
            if not self.has(name):  # else another run has registered it at the same moment
                raise

    def has(self, name: str) -> bool:
        return self.spark.catalog.tableExists(f"{self.schema}.{name}")

    def _location(self, name: str) -> str | None:
        """Where the table of that name lies; None: there is none."""
        if not self.has(name):
            return None
        table = {"name": f"{self.schema}.{name}"}
        described = self.spark.sql("DESCRIBE TABLE EXTENDED IDENTIFIER(:name)", args=table).collect()
        return {row["col_name"]: row["data_type"] for row in described}.get("Location", "")
