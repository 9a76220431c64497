from pathlib import Path

import pytest

from models.errors import StreamError
from models.stream.delta_log import table_files
from tests.models.tables import sequence_rows, sequences, write


def test_deletion_vectors_are_refused_by_name(spark, tmp_path):
    path = str(tmp_path / "t")
    write(sequences(spark, sequence_rows(5, 4)), path, **{"delta.enableDeletionVectors": "true"})
    with pytest.raises(
        StreamError, match=r"version 0 uses table features that cannot be streamed exactly. deletionVectors: .*PURGE"
    ):
        table_files(path, 0)


def test_column_mapping_is_refused_by_name(spark, tmp_path):
    path = str(tmp_path / "t")
    mapping = {"delta.columnMapping.mode": "name", "delta.minReaderVersion": "2", "delta.minWriterVersion": "5"}
    write(sequences(spark, sequence_rows(5, 4)), path, **mapping)
    with pytest.raises(StreamError, match=r"columnMapping: its columns would be read as null"):
        table_files(path, 0)


def test_rows_of_files_without_statistics_are_counted_from_the_footer(spark, tmp_path):
    path = str(tmp_path / "t")
    spark.conf.set("spark.databricks.delta.stats.collect", "false")
    try:
        write(sequences(spark, sequence_rows(5, 4)), path)
    finally:
        spark.conf.unset("spark.databricks.delta.stats.collect")
    assert sum(f.rows for f in table_files(path, 0)) == 5


def test_a_version_that_vacuum_has_taken_is_named(spark, tmp_path):
    path = str(tmp_path / "t")
    write(sequences(spark, sequence_rows(5, 4)), path)
    write(sequences(spark, sequence_rows(5, 4)), path, "overwrite")
    Path(table_files(path, 0)[0].uri).unlink()
    with pytest.raises(StreamError, match=r"version 0 needs part-.*, which is gone: VACUUM has taken this version"):
        table_files(path, 0)
    assert sum(f.rows for f in table_files(path, 1)) == 5


def test_a_missing_table_and_a_missing_version_are_named(spark, tmp_path):
    with pytest.raises(StreamError, match="no Delta table at this path"):
        table_files(str(tmp_path / "none"), 0)
    write(sequences(spark, sequence_rows(5, 4)), str(tmp_path / "t"))
    with pytest.raises(StreamError, match="version 7 cannot be read from the log"):
        table_files(str(tmp_path / "t"), 7)
