"""One local Spark session for the whole run, as small as the tables of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from pyspark.sql import SparkSession
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from jobs import run_pipeline
from jobs.runtime.session import build_session
from tests.scenario import FOR_FEW_ROWS, Scenario, make_raw

# Files whose tests read one undisturbed run of everything: they stay in one process. The others are spread file by file.
PIPELINE = ("tests/test_cluster.py", "tests/jobs/test_run_pipeline.py", "tests/test_readme.py")

settings.register_profile("untimed", deadline=None)  # the machine decides how long an example takes
settings.load_profile("untimed")

STREAMING = "org.apache.spark.sql.execution.streaming"


class ByWarehouse(LoadScopeScheduling):
    """Tests of one scope share module fixtures, such as a warehouse, and are sent to one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", maxsplit=1)[0]
        return "pipeline" if file in PIPELINE else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByWarehouse:
    return ByWarehouse(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest scopes begin first, so that no process is left with one while the other has nothing more to do."""
    order = (*PIPELINE, "tests/jobs/", "tests/models/")
    items.sort(key=lambda item: next((n for n, path in enumerate(order) if item.nodeid.startswith(path)), len(order)))


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    session = build_session(
        "tests",
        master="local[2]",
        settings={
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": "2",
            "spark.databricks.delta.snapshotPartitions": "2",
            "spark.driver.memory": "3g",
            "spark.ui.showConsoleProgress": "false",
            # For one process on a local disk. Hadoop starts a program to read a link or to set permissions, which a commit
            # through the default classes has it do some thirty times.
            "spark.delta.logStore.file.impl": "io.delta.storage.LocalLogStore",
            "spark.sql.streaming.checkpointFileManagerClass": f"{STREAMING}.FileSystemBasedCheckpointFileManager",
            **FOR_FEW_ROWS,
        },
    )
    session.sparkContext.setLogLevel("ERROR")
    local = session._jvm.org.apache.hadoop.fs.FileSystem.getLocal(session._jsc.hadoopConfiguration())
    local.setWriteChecksum(False)  # nor a file of checksums beside each file
    yield session
    session.stop()


@pytest.fixture(scope="session")
def pipeline(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """The small scenario after one undisturbed run of everything. Tests read it; those that change tables make their own."""
    folder = tmp_path_factory.mktemp("pipeline")
    scenario = Scenario(make_raw(folder / "raw"), folder / "warehouse")
    assert run_pipeline.main(scenario.arguments()) == 0
    return scenario
