import threading
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from petastorm.reader import Reader
from petastorm.workers_pool import thread_pool

from models.errors import StreamError
from models.inputs import HISTORY, TARGETS
from models.stream.batches import Prefetched, lane_batches
from models.stream.delta_log import TableFile, keep_partition, table_files
from models.stream.file_plan import EpochPlan, generator, plan_epoch
from models.stream.row_groups import open_row_groups
from models.stream.stream import LaneReader
from tests.models.tables import FEATURES, ITEMS, NAMES, SIZES, arrow_table, parquet_file, sequence_rows, sequences, write

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*unsupported:UserWarning")


def read_all(plan: EpochPlan, lanes: int, first_step: int = 0) -> list[tuple[dict[str, np.ndarray], ...]]:
    return list(lane_batches(plan, range(lanes), SIZES, first_step))


def real_rows(batches: list[tuple[dict[str, np.ndarray], ...]]) -> list[dict[str, list[object]]]:
    """The rows of the batches that are not padding, as the table has them."""
    return [
        {name: batch[name][row].tolist() for name in NAMES}
        for step in batches
        for batch in step
        for row in range(len(batch["weights"]))
        if batch["item_ids"][row].any()
    ]


def sorted_rows(rows: list[dict[str, list[object]]]) -> list[str]:
    return sorted(str(row) for row in rows)


@pytest.fixture
def files(tmp_path: Path) -> list[TableFile]:
    """Two length buckets; files of one row to nine row groups."""
    made = []
    for length, counts in {4: [1, 13], 8: [90, 7, 3]}.items():
        for n, count in enumerate(counts):
            made.append(
                parquet_file(tmp_path / f"{length}-{n}.parquet", sequence_rows(count, length, seed=n), length, row_group=10)
            )
    return made


def expected_lane(plan: EpochPlan, length: int, lane: int) -> list[dict[str, list[object]]]:
    """What a lane must get, read by pyarrow, row by row."""
    rows: list[dict[str, list[object]]] = []
    for part in plan.parts[length][lane]:
        file, whole = pq.ParquetFile(part.file.uri), []
        for group in range(file.num_row_groups):
            table = file.read_row_group(group).to_pylist()
            order = generator(plan.seed, plan.epoch, length, part.order, group).permutation(len(table))
            whole += [table[i] for i in order]
        rows += whole[part.start : part.stop]
    return rows


def test_every_lane_gets_the_rows_that_an_independent_reader_gets_in_the_same_order(files):
    plan = plan_epoch(files, seed=3, epoch=1, lanes=3, batch_size=12)
    batches = read_all(plan, lanes=3)
    assert len(batches) == len(plan.steps)
    for length in (4, 8):
        for lane in range(3):
            of_lane = [(step[lane],) for step, at in zip(batches, plan.steps, strict=True) if at == length]
            assert all(len(batch["weights"]) == 4 for (batch,) in of_lane)
            expected = [
                {n: np.float32(r[n]).tolist() if isinstance(r[n][0], float) else r[n] for n in NAMES}
                for r in expected_lane(plan, length, lane)
            ]
            assert real_rows(of_lane) == expected


def test_one_row_in_two_row_groups_is_never_given_to_two_lanes(files):
    plan = plan_epoch(files, seed=0, epoch=0, lanes=2, batch_size=8)
    table = [row for f in files for row in pq.read_table(f.uri).to_pylist()]
    assert sorted_rows(real_rows(read_all(plan, 2))) == sorted_rows(table)


def test_epochs_and_seeds_change_the_order_of_rows(files):
    first, again, next_epoch = (
        real_rows(read_all(plan_epoch(files, seed=0, epoch=epoch, lanes=1, batch_size=4), 1)) for epoch in (0, 0, 1)
    )
    assert first == again
    assert first != next_epoch


def test_a_stream_goes_on_at_any_step_as_if_it_had_never_stopped(files):
    plan = plan_epoch(files, seed=0, epoch=0, lanes=2, batch_size=8)
    whole = read_all(plan, 2)
    for step in (0, 1, len(whole) // 2, len(whole) - 1, len(whole)):
        rest = read_all(plan, 2, first_step=step)
        assert len(rest) == len(whole) - step
        for expected, found in zip(whole[step:], rest, strict=True):
            for lane in range(2):
                for name in NAMES:
                    np.testing.assert_array_equal(expected[lane][name], found[lane][name])


def test_shapes_are_batch_length_and_features_and_short_lanes_are_filled_with_zeros(tmp_path):
    file = parquet_file(tmp_path / "a.parquet", sequence_rows(1, 4), 4)
    plan = plan_epoch([file], seed=0, epoch=0, lanes=2, batch_size=6)
    ((first, second),) = read_all(plan, 2)
    full, empty = (first, second) if first["weights"].any() else (second, first)
    assert full["item_ids"].shape == (3, 4)
    assert full["user_features"].shape == (3, 4 * FEATURES)
    assert full["weights"][1:].sum() == 0
    assert all(not values.any() and values.shape == full[name].shape for name, values in empty.items())
    assert {name: values.dtype for name, values in full.items()} == {i.name: i.dtype for i in (*HISTORY, *TARGETS)}


def test_a_source_without_user_features_and_content_streams_empty_arrays(tmp_path):
    bare = ("user_features", "user_numbers", "user_labels", "user_label_weights")
    rows = [row | {name: [] for name in bare} for row in sequence_rows(5, 4)]
    plan = plan_epoch([parquet_file(tmp_path / "a.parquet", rows, 4)], seed=0, epoch=0, lanes=1, batch_size=3)
    sizes = replace(SIZES, user_features=0, user_numbers=0, user_label_slots=0)
    batches = [batch for (batch,) in lane_batches(plan, [0], sizes)]
    assert {batch[name].shape for batch in batches for name in bare} == {(3, 0)}
    assert sum(int((batch["weights"] > 0).any(axis=1).sum()) for batch in batches) == 5


@pytest.mark.parametrize(
    ("logged", "message"), [(31, "the log says 31 rows, 30 were"), (29, "the log says 29 rows, at least 30 were")]
)
def test_rows_other_than_the_log_says_end_the_stream(tmp_path, logged, message):
    file = parquet_file(tmp_path / "a.parquet", sequence_rows(30, 4), 4, row_group=10)
    with pytest.raises(StreamError, match=message):
        read_all(plan_epoch([replace(file, rows=logged)], seed=0, epoch=0, lanes=1, batch_size=4), 1)


def test_whole_row_groups_that_the_log_does_not_know_end_the_stream(tmp_path):
    file = parquet_file(tmp_path / "a.parquet", sequence_rows(30, 4), 4, row_group=10)
    with pytest.raises(StreamError, match="the log says 20 rows, 10 more were delivered"):
        read_all(plan_epoch([replace(file, rows=20)], seed=0, epoch=0, lanes=1, batch_size=4), 1)


def broken_file(path: Path, name: str, values: pa.Array | None) -> TableFile:
    rows = sequence_rows(5, 4)
    table = arrow_table(rows)
    table = table.drop([name]) if values is None else table.set_column(table.column_names.index(name), name, values)
    pq.write_table(table, path)
    return TableFile(str(path), 5, {"split": "train", "length": "4"})


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("gaps", None, "gaps is missing"),
        ("gaps", pa.array([[[1]]] * 5), "gaps is missing, or of a type that petastorm drops"),
        ("gaps", pa.array([[1, 2, 3, 4]] * 5, pa.large_list(pa.int32())), "gaps is missing, or of a type that petastorm drops"),
        ("gaps", pa.array([[1, 2, 3, 4]] * 5, pa.list_(pa.int64())), "gaps must be an array of int32, found array of int64"),
        ("gaps", pa.array([1] * 5, pa.int32()), "gaps must be an array of int32, found int32"),
        (
            "gaps",
            pa.array([[1, 2, None, 4]] * 5, pa.list_(pa.int32())),
            "gaps: a column of arrays must have one length and no nulls. Received 5 rows of 20",
        ),
        (
            "gaps",
            pa.array([[1, 2, 3]] * 5, pa.list_(pa.int32())),
            "gaps must have 4 entries, as the length bucket is 4. Received 3.",
        ),
        (
            "gaps",
            pa.array([[1, 2, 3, 4]] * 4 + [[1]], pa.list_(pa.int32())),
            "gaps: a column of arrays must have one length and no nulls. Received 5 rows of 17",
        ),
        (
            "gaps",
            pa.array([[1, 2, 3, 4]] * 4 + [None], pa.list_(pa.int32())),
            "gaps: a column of arrays must have one length and no nulls",
        ),
        ("gaps", pa.array([[1, 2, -3, 4]] * 5, pa.list_(pa.int32())), "gaps must be indices from 0 to 31. Received -3."),
        ("targets", pa.array([[ITEMS] * 4] * 5, pa.list_(pa.int32())), "targets must be indices from 0 to 11. Received 12."),
        ("user_labels", pa.array([[0, 4]] * 5, pa.list_(pa.int32())), "user_labels must be indices from 0 to 3. Received 4."),
        ("values", pa.array([[1, 2, np.nan, 4]] * 5, pa.list_(pa.float32())), "values must be finite. Received NaN"),
    ],
)
def test_a_column_that_would_not_arrive_as_it_is_or_has_no_place_in_the_model_ends_the_stream(tmp_path, name, values, message):
    plan = plan_epoch([broken_file(tmp_path / "a.parquet", name, values)], seed=0, epoch=0, lanes=1, batch_size=2)
    with pytest.raises(StreamError, match=message):
        next(lane_batches(plan, [0], SIZES))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "gaps is missing"),
        (pa.array([1] * 5, pa.int32()), "gaps must be an array of int32, found int32"),
        (pa.array([[1, 2, 3, 4]] * 5, pa.list_(pa.int64())), "gaps must be an array of int32, found array of int64"),
    ],
)
def test_a_file_that_is_unlike_the_first_ends_the_stream(tmp_path, values, message):
    files = [parquet_file(tmp_path / "0.parquet", sequence_rows(5, 4), 4), broken_file(tmp_path / "1.parquet", "gaps", values)]
    for order in (files, files[::-1]):
        plan = plan_epoch(order, seed=0, epoch=0, lanes=1, batch_size=2)
        with pytest.raises(StreamError, match=message):
            list(lane_batches(plan, [0], SIZES))


def test_readers_are_closed_when_the_consumer_stops_and_when_it_fails(files):
    plan = plan_epoch(files, seed=0, epoch=0, lanes=2, batch_size=8)
    before = threading.active_count()
    stream = lane_batches(plan, [0, 1], SIZES)
    list(islice(stream, 2))
    stream.close()
    prefetched = Prefetched(lambda: lane_batches(plan, [0, 1], SIZES))
    next(iter(prefetched))
    prefetched.close()
    assert threading.active_count() == before


def test_an_error_of_the_prefetching_thread_reaches_the_consumer(tmp_path):
    plan = plan_epoch([broken_file(tmp_path / "a.parquet", "gaps", None)], seed=0, epoch=0, lanes=1, batch_size=2)
    with pytest.raises(StreamError, match="gaps is missing"):
        list(Prefetched(lambda: lane_batches(plan, [0], SIZES)))


def test_prefetching_changes_nothing_about_the_batches(files):
    plan = plan_epoch(files, seed=0, epoch=0, lanes=1, batch_size=4)
    prefetched = Prefetched(lambda: lane_batches(plan, [0], SIZES))
    assert real_rows(list(prefetched)) == real_rows(read_all(plan, 1))
    assert prefetched.waited > 0


def test_a_reader_that_has_read_ahead_looks_seldom_whether_it_is_still_wanted(files, monkeypatch):
    asked: list[bool] = []
    is_set = threading.Event.is_set
    monkeypatch.setattr(threading.Event, "is_set", lambda event: asked.append(True) or is_set(event))
    reader = open_row_groups([max(files, key=lambda f: f.rows).uri], NAMES)
    time.sleep(0.2)  # until its queue is full
    asked.clear()
    time.sleep(0.5)
    looked = len(asked)
    reader.stop()
    reader.join()
    assert 0 < looked <= 20  # of some 500


def ends(reader: Reader) -> bool:
    """Whether it does within a time in which it always should."""
    reader.stop()
    ended = threading.Thread(target=reader.join, daemon=True)
    ended.start()
    ended.join(20)
    return not ended.is_alive()


def test_a_reader_that_waits_for_work_ends_as_soon_as_it_is_stopped(files, monkeypatch):
    monkeypatch.setattr(thread_pool, "IO_TIMEOUT_INTERVAL_S", 60)
    reader = open_row_groups([files[0].uri], NAMES)
    assert [len(table) for table in reader] == [1]
    assert ends(reader)


def test_a_reader_ends_with_an_unreadable_row_group_that_nobody_waits_for(tmp_path, capsys):
    file = parquet_file(tmp_path / "a.parquet", sequence_rows(40, 4), 4, row_group=10)
    page = pq.ParquetFile(file.uri).metadata.row_group(1).column(0).data_page_offset
    with Path(file.uri).open("r+b") as damaged:
        damaged.seek(page)
        damaged.write(b"\xff" * 60)
    reader, deadline = open_row_groups([file.uri], NAMES), time.monotonic() + 20
    while "unexpected exception" not in capsys.readouterr().err:  # petastorm says so, and hands it on: its queue is full
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert ends(reader)


def test_the_reader_of_a_lane_without_rows_opens_nothing(files):
    plan = plan_epoch([files[0]], seed=0, epoch=0, lanes=2, batch_size=2)
    empty = next(lane for lane in (0, 1) if not plan.parts[4][lane])
    with LaneReader(plan, 4, empty, SIZES) as reader:
        assert not reader.next_batch()["weights"].any()


# A table of Delta, written by Spark


def streamed(path: str, version: int) -> list[str]:
    files = keep_partition(table_files(path, version), "split", "train")
    return sorted_rows(real_rows(read_all(plan_epoch(files, seed=0, epoch=0, lanes=2, batch_size=16), 2)))


def test_rows_streamed_are_the_rows_of_the_version_after_append_overwrite_and_compaction(spark, tmp_path):
    path = str(tmp_path / "sequences")
    write(sequences(spark, [*sequence_rows(50, 4), *sequence_rows(70, 8), *sequence_rows(9, 4, split="valid")]), path)
    write(sequences(spark, sequence_rows(31, 8, seed=1)), path)
    new = sequences(spark, sequence_rows(20, 4, seed=2))
    write(new, path, "overwrite", replaceWhere="split = 'train' and length = 4")
    spark.sql(f"OPTIMIZE delta.`{path}`")
    for version, count in {0: 120, 1: 151, 2: 121, 3: 121}.items():
        table = spark.read.format("delta").option("versionAsOf", version).load(path).where("split = 'train'")
        expected = sorted_rows([{n: row[n] for n in NAMES} for row in table.toLocalIterator()])
        assert len(expected) == count
        assert streamed(path, version) == expected
    assert len(table_files(path, 3)) < len(table_files(path, 1))
