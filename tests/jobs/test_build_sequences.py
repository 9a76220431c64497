from collections import Counter

import pytest

from features.profiling.tables import FEATURE_SELECTION
from features.schema import conform
from features.tables import SEQUENCES
from jobs.build_sequences import main
from tests.delta_rows import write_rows
from tests.features.rows import Event, at, random_events
from tests.jobs.feature_warehouse import COUNTS, FeatureWarehouse

EVENTS = random_events(seed=7, users=4, items=5, events=50, days=9)
ITEMS = {"i0": {"categories": ["a", "b"]}, "i1": {"categories": ["b"]}, "never": {}}
VOCABULARIES = ("item_vocabulary", "user_vocabulary", "label_vocabulary")


@pytest.fixture(scope="module")
def featured(spark, tmp_path_factory):
    """What build_sequences reads; tests that change it take a copy."""
    house = FeatureWarehouse(spark, tmp_path_factory.mktemp("features"))
    house.write(EVENTS, ITEMS)
    house.write_counts(EVENTS)
    return house


def run(house, **sections):
    return main(["--config", house.conf(features=COUNTS, **sections)])


@pytest.fixture(scope="module")
def house(featured, tmp_path_factory):
    house = featured.copy(tmp_path_factory.mktemp("sequences"))
    assert run(house) == 0
    return house


def _vocabulary(house, name):
    return {tuple(r)[:-1]: r["index"] for r in house.table(name).collect()}


def test_every_event_but_a_users_first_is_a_target_and_the_ledger_says_so(house):
    row = house.table("runs").where("job = 'build_sequences' and exit_code = 0").orderBy("started_at").head()
    users = len({e.user_id for e in EVENTS})
    assert (row["counts"]["events"], row["counts"]["first_events"]) == (len(EVENTS), users)
    assert sum(row["counts"][f"{s}_targets"] for s in ("train", "valid", "test")) == len(EVENTS) - users
    assert row["counts"]["test_targets"] == row["counts"]["valid_targets"] == users


OF_USERS = ("user_numbers", "user_labels", "user_label_weights")  # empty, as the scenario declares no content of users


def test_arrays_have_the_length_of_their_partition_and_no_null(house):
    for row in conform(house.table("sequences"), SEQUENCES).collect():
        for column in (c.name for c in SEQUENCES.columns if c.type.startswith("array")):
            per_position = 2 if column == "user_features" else 0 if column in OF_USERS else 1
            assert len(row[column]) == row["length"] * per_position
            assert None not in row[column]


def test_implicit_values_are_neither_read_nor_learned(house):
    rows = house.table("sequences").collect()
    assert not any(any(r["values"]) or any(r["target_values"]) or any(r["target_value_weights"]) for r in rows)
    assert house.table("statistics").where("owner = 'sequences'").isEmpty()
    assert house.table("item_values").isEmpty()


def test_a_second_run_is_skipped(house):  # a forced one: tests/jobs/test_build_content.py, with tables of every kind
    before = house.versions()
    assert run(house) == 0
    assert house.versions() == before


def test_features_that_are_older_than_the_events_are_refused(featured, tmp_path, capfd):
    house = featured.copy(tmp_path)
    house.write([*EVENTS, Event("u0", "i1", at(30))], ITEMS)
    assert run(house) == 3
    assert "user_features: 1 events have no row of their user and day. Run build_features" in capfd.readouterr().err


def test_new_events_append_to_the_vocabularies_and_change_no_index(house):
    before = {name: _vocabulary(house, name) for name in VOCABULARIES}
    assert before["item_vocabulary"]["never",] == max(before["item_vocabulary"].values())
    new = [Event("aa", "0-item", at(1, n), "rate", tie_order=0) for n in range(3)]
    house.write([*EVENTS, *new], ITEMS | {"0-item": {"categories": ["0"]}})
    house.write_counts([*EVENTS, *new])
    assert run(house) == 0
    added = {"item_vocabulary": ("0-item",), "user_vocabulary": ("aa",), "label_vocabulary": ("categories", "0")}
    for name in VOCABULARIES:
        after = _vocabulary(house, name)
        assert before[name].items() <= after.items()
        assert added[name] in after.keys() - before[name].keys()


def test_explicit_values_are_scaled_and_learned_and_those_of_items_are_of_the_training_period(house):
    events = {"path": "none", "value": "explicit"}
    columns = {"user_id": "u", "item_id": "i", "event_time": "t", "value": "v"}
    assert run(house, source={"events": events | {"columns": columns}}) == 0
    assert house.table("statistics").where("owner = 'sequences' and column = 'value'").count() == 2
    assert any(any(r["target_value_weights"]) for r in house.table("sequences").collect())
    pairs, indices = set(), _vocabulary(house, "item_vocabulary")
    for user in {e.user_id for e in EVENTS}:
        past = sorted((e for e in EVENTS if e.user_id == user), key=lambda e: (e.event_time, e.tie_order))
        pairs |= {(user, e.item_id) for e in past[:-2] if e.value is not None}  # the last two are those of other splits
    values = Counter(item for _, item in pairs)
    found = {row["item_id"]: (row["index"], row["values"]) for row in house.table("item_values").collect()}
    assert found == {item: (indices[item,], count) for item, count in values.items()}


def test_a_feature_that_was_left_out_is_in_no_tensor_and_no_statistic(featured, tmp_path):
    house = featured.copy(tmp_path)
    left_out = ("user_features", "events_count_5d", False, "two different values", 0.0, 2, 0.0, 0)
    row = dict(zip((c.name for c in FEATURE_SELECTION.columns), left_out, strict=True))
    write_rows(f"{tmp_path}/warehouse/feature_selection", FEATURE_SELECTION, [row])
    assert run(house) == 0
    fitted = house.table("statistics").where("owner = 'user_features'").select("column").distinct().collect()
    assert [row["column"] for row in fitted] == ["events_count_3d"]
    assert all(len(row["user_features"]) == row["length"] for row in house.table("sequences").collect())
