"""build_sequences where content of every kind is declared."""

import pytest

from features.schema import conform
from features.tables import PROJECTIONS, USER_CONTENT, USERS
from jobs.build_sequences import main
from tests.delta_rows import write_rows
from tests.features.rows import Event, at, random_events
from tests.jobs.feature_warehouse import COUNTS, FeatureWarehouse

EVENTS = [*random_events(seed=3, users=4, items=4, events=40, days=9), Event("u0", "late", at(20))]  # late is held back
WORDS = ("red dragon", "green dragon", "red fire", "green fire")
ITEMS = {
    f"i{n}": {"text": text, "price": float(n), "tags": ["t"], "media": [float(n == 1), 2.0 * n, 1.0]}
    for n, text in enumerate(WORDS)
} | {"late": {"text": "dragon words words", "media": [9.0, 9.0, 9.0], "price": 99.0}, "never": {"text": "words"}}  # fmt: skip
CONTENT = {
    "item": [
        {"labels": "tags"},
        {"bucket": "price", "quantiles": 2},
        {"number": "price", "scale": ["min_max", "quantile"]},
        {"text": "text", "size": 2, "terms": 10},
        {"vector": "media", "size": 3, "reduce_to": 1},
    ],
    "user": [{"labels": "segment"}, {"number": "age"}],
}
SOURCE = {
    "events": {"path": "none", "columns": {"user_id": "u", "item_id": "i", "event_time": "t"}},
    "users": {"path": "none", "columns": {"user_id": "u", "segment": "s", "age": "a"}},
}
TABLES = (
    "item_vocabulary", "user_vocabulary", "label_vocabulary", "statistics", "projections",
    "item_content", "user_content", "item_neighbours", "item_transitions", "item_values", "sequences",
)  # fmt: skip


@pytest.fixture(scope="module")
def house(spark, tmp_path_factory):
    house = FeatureWarehouse(spark, tmp_path_factory.mktemp("content"))
    house.write(EVENTS, ITEMS)
    house.write_counts(EVENTS)
    users = (("u0", "DE", 20.0), ("u1", "FR", 40.0), ("cold", "PL", 99.0))
    rows = [{"user_id": u, "segment": s, "age": age, "age_imputed": False, "attributes": {}} for u, s, age in users]
    write_rows(house.folder / "warehouse" / "users", USERS, rows)
    assert main(_conf(house)) == 0
    return house


def _conf(house, **sections):
    return ["--config", house.conf(**{"features": COUNTS, "content": CONTENT, "source": SOURCE} | sections)]


def test_everything_is_fitted_on_items_of_the_training_period_alone(house):
    assert {row["term"] for row in house.table("projections").where("column = 'text'").collect()} == {
        "red", "green", "dragon", "fire",
    }  # fmt: skip
    prices = house.table("statistics").where("owner = 'item_content' and column = 'price'").collect()
    assert {row["statistic"]: row["number"] for row in prices if row["statistic"] in ("min", "max")} == {"min": 0, "max": 3}


def test_items_have_every_declared_number_and_label(house):
    rows = {row["item_id"]: row for row in house.table("item_content").collect()}
    assert {len(row["numbers"]) for row in rows.values()} == {3 + 3 + 2}
    assert {(len(row["labels"]), len(row["categories"])) for row in rows.values()} == {(9, 0)}
    assert rows["late"]["numbers"][:3] == [1, 1, 1]  # beyond what was fitted
    assert rows["never"]["numbers"][5:] == [1, 0, 0]  # it has a text, and no vector
    assert any(rows["late"]["numbers"][3:5]) and not any(rows["never"]["numbers"][3:5])


def test_users_who_are_cold_have_content_too(house):
    rows = {row["user_id"]: row for row in conform(house.table("user_content"), USER_CONTENT).collect()}
    assert {user: row["numbers"] for user, row in rows.items()} == {
        "u0": [-1, 1],
        "u1": [1, 1],
        "cold": [pytest.approx(6.9), 1],
    }
    labels = {row["index"]: row["label"] for row in house.table("label_vocabulary").where("column = 'user_content'").collect()}
    assert {user: [labels[n] for n in row["labels"]] for user, row in rows.items()} == {
        "u0": ["segment=DE"], "u1": ["segment=FR"], "cold": ["segment=PL"],
    }  # fmt: skip


def test_each_sequence_carries_what_is_known_of_its_user(house):
    known = {row["user_id"]: row for row in house.table("user_content").collect()}
    rows = house.table("sequences").collect()
    assert {row["user_id"] for row in rows} == {"u0", "u1", "u2", "u3"}  # the last two are not in `users`
    for row in rows:
        user = known.get(row["user_id"])
        expected = (user["numbers"], user["labels"], user["label_weights"]) if user else ([0, 0], [0], [0])
        assert (row["user_numbers"], row["user_labels"], row["user_label_weights"]) == expected


def test_a_forced_run_leaves_the_same_rows(house):
    rows = {name: house.rows(name) for name in TABLES}
    assert main([*_conf(house), "--force"]) == 0
    assert {name: house.rows(name) for name in TABLES} == rows
    assert conform(house.table("projections"), PROJECTIONS).count() == 4 + 3


def test_a_vector_of_another_size_ends_the_job_with_3_and_writes_nothing(house, capfd):
    before = house.versions()
    wrong = {"item": [{"vector": "media", "size": 2}]}
    assert main(_conf(house, content=wrong)) == 3
    assert "media must have the 2 entries that content.item declares. Received 5 items" in capfd.readouterr().err
    assert house.versions() == before
