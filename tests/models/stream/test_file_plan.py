from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import StreamError
from models.stream.delta_log import TableFile
from models.stream.file_plan import EpochPlan, plan_epoch


def files(rows: dict[int, list[int]]) -> list[TableFile]:
    """rows: length bucket -> rows of each file."""
    return [
        TableFile(f"length={length}/part-{i:05}", count, {"split": "train", "length": str(length)})
        for length, counts in rows.items()
        for i, count in enumerate(counts)
    ]


def all_rows(plan: EpochPlan) -> list[tuple[str, int]]:
    return sorted(
        (part.file.uri, row)
        for lanes in plan.parts.values()
        for lane in lanes
        for part in lane
        for row in range(part.start, part.stop)
    )


tables = st.dictionaries(st.sampled_from([4, 8, 16]), st.lists(st.integers(0, 23), max_size=6), max_size=3)
lane_counts = st.sampled_from([1, 2, 3, 5])


@settings(max_examples=200)
@given(tables, lane_counts, st.integers(1, 4), st.integers(-3, 3), st.integers(0, 3))
def test_every_row_is_in_exactly_one_lane_and_every_lane_has_the_same_steps(table, lanes, batch, seed, epoch):
    plan = plan_epoch(files(table), seed=seed, epoch=epoch, lanes=lanes, batch_size=lanes * batch)
    assert all_rows(plan) == sorted((f.uri, row) for f in files(table) for row in range(f.rows))
    for length, lanes_of_bucket in plan.parts.items():
        sizes = [sum(part.rows for part in lane) for lane in lanes_of_bucket]
        assert len(sizes) == lanes
        assert max(sizes) - min(sizes) <= 1
        steps = plan.steps.count(length)
        assert (steps - 1) * batch < max(sizes) <= steps * batch


@settings(max_examples=100)
@given(tables, lane_counts, st.integers(1, 4), st.data())
def test_a_plan_goes_on_at_any_step(table, lanes, batch, data):
    plan = plan_epoch(files(table), seed=1, epoch=0, lanes=lanes, batch_size=lanes * batch)
    step = data.draw(st.integers(0, len(plan.steps)))
    for length, taken in plan.batches_before(step).items():
        for lane in range(lanes):
            whole = [(p.file.uri, row) for p in plan.parts[length][lane] for row in range(p.start, p.stop)]
            rest = [(p.file.uri, row) for p in plan.parts_from(length, lane, taken) for row in range(p.start, p.stop)]
            assert rest == whole[taken * batch :]


def test_files_with_other_names_and_the_same_rows_make_the_same_order():
    def build(names: list[str]) -> list[str]:
        table = [TableFile(name, 3, {"length": "4"}, first_example=f"user{i}") for i, name in enumerate(names)]
        plan = plan_epoch(reversed(table), seed=7, epoch=0, lanes=1, batch_size=4)
        return [part.file.first_example for part in plan.parts[4][0]]

    assert build(["a", "b", "c", "d"]) == build(["d", "a", "c", "b"])


def test_the_same_arguments_make_the_same_plan_and_another_epoch_another_order():
    table = files({4: [3] * 10, 8: [5] * 10})
    first, again = (plan_epoch(table, seed=7, epoch=0, lanes=2, batch_size=4) for _ in range(2))
    shuffled_list = plan_epoch(table[::-1], seed=7, epoch=0, lanes=2, batch_size=4)
    assert first == again == shuffled_list
    for other in (
        plan_epoch(table, seed=7, epoch=1, lanes=2, batch_size=4),
        plan_epoch(table, seed=8, epoch=0, lanes=2, batch_size=4),
    ):
        assert other.steps != first.steps
        assert other.parts != first.parts
        assert sorted(other.steps) == sorted(first.steps)


def test_the_buckets_take_turns_within_an_epoch():
    steps = plan_epoch(files({4: [40], 8: [40]}), seed=0, epoch=0, lanes=1, batch_size=2).steps
    assert steps not in (tuple(sorted(steps)), tuple(sorted(steps, reverse=True)))


def test_one_large_file_is_shared_between_lanes():
    plan = plan_epoch(files({4: [100, 10]}), seed=0, epoch=0, lanes=2, batch_size=10)
    assert [sum(p.rows for p in lane) for lane in plan.parts[4]] == [55, 55]
    assert plan.steps == (4,) * 11


def test_no_rows_make_no_steps():
    assert plan_epoch(files({4: [0, 0]}), seed=0, epoch=0, lanes=2, batch_size=4).steps == ()
    assert plan_epoch([], seed=0, epoch=0, lanes=2, batch_size=4).rows == 0


def test_one_row_keeps_all_lanes_busy_for_one_step():
    plan = plan_epoch(files({4: [1]}), seed=0, epoch=0, lanes=3, batch_size=6)
    assert plan.steps == (4,)
    assert sorted(len(lane) for lane in plan.parts[4]) == [0, 0, 1]


def test_a_batch_that_lanes_cannot_share_is_refused():
    with pytest.raises(ValueError, match=r"batch_size must be a multiple of lanes. Received batch_size=5, lanes=2."):
        plan_epoch([], seed=0, epoch=0, lanes=2, batch_size=5)


def test_a_table_without_length_buckets_is_refused():
    with pytest.raises(StreamError, match=r"a.parquet: the table must be partitioned by length. Partitions: \['split'\]."):
        plan_epoch([TableFile("a.parquet", 1, {"split": "train"})], seed=0, epoch=0, lanes=1, batch_size=1)


def test_a_step_of_so_many_positions_holds_more_of_the_short_histories():
    table = files({4: [100], 8: [100], 16: [3]})
    plan = plan_epoch(table, seed=0, epoch=0, lanes=2, batch_size=2, batch_positions=64)
    assert plan.batch == {4: 8, 8: 4, 16: 2}  # of a lane; no more than the two rows that a lane has of the longest
    assert Counter(plan.steps) == {4: 7, 8: 13, 16: 1}
    assert plan_epoch(table, seed=0, epoch=0, lanes=2, batch_size=2, batch_positions=1).batch == {4: 1, 8: 1, 16: 1}
