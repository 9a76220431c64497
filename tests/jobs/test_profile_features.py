import math
from collections import Counter

import numpy as np
import pytest

from features.profiling.divergence import information_by_chance, mutual_information
from jobs import build_features
from jobs.profile_features import main
from tests.features.rows import Event, at, random_events
from tests.jobs.feature_warehouse import FeatureWarehouse

OLD = random_events(seed=6, users=6, items=5, events=150, days=30)
NEW = [Event("u1", "i1", at(32 + n, h), value=5.0, event_id=f"new {n} {h}") for n in range(8) for h in range(12)]
FEATURES = {
    "user": [
        {"count": "events", "days": [3]},
        {"sum": "value", "days": [3]},
        {"mean": "year", "days": [3]},  # no item has one
        {"last": "item_id", "days": [5]},
        {"share": "item_id", "days": [5]},
    ],
    "item": [],
    "category": [{"mean": "value", "days": [3]}],
}


@pytest.fixture(scope="module")
def house(spark, tmp_path_factory):
    house = FeatureWarehouse(spark, tmp_path_factory.mktemp("profile"))
    house.write([*OLD, *NEW], {"i0": {"categories": ["a"]}, "i1": {"categories": ["a", "b"]}})
    assert build_features.main(["--config", house.conf(features=FEATURES)]) == 0
    return house


def _conf(house, **more):
    return ["--config", house.conf(features=FEATURES | more)]


def test_a_run_describes_every_feature_and_leaves_out_what_the_rule_leaves_out(house):
    assert main(_conf(house, selection={"max_correlation": 0.8})) == 0
    described = {(r["feature"], r["month"]) for r in house.table("feature_statistics").collect()}
    names = [*house.table("user_features").columns[3:], *house.table("category_features").columns[3:]]
    assert described == {(name, month) for name in names for month in ("2020-01", "2020-02")}
    rows = house.table("feature_selection").collect()
    assert {r["feature"] for r in rows if r["table"] == "category_features"} == {"value_mean_3d"}
    chosen = {r["feature"]: r for r in rows if r["table"] == "user_features"}
    assert {name: r["reason"] for name, r in chosen.items() if not r["kept"]} == {
        "year_mean_3d": "1.000 of it are null",
        **_of_the_pair(),
    }
    found = {name: chosen[name]["information"] for name in PAIR}
    assert found == pytest.approx({name: _information(values) for name, values in PAIR.items()}, abs=1e-9)


def test_statistics_are_of_days_with_events_and_not_of_the_rows_of_every_key_after_the_run(house):
    """In February u1 alone has events, and each user a row as of the day after."""
    assert main(_conf(house, selection={"max_correlation": 0.8})) == 0
    found = house.table("feature_statistics").where("feature = 'events_count_3d' and statistic = 'rows'").collect()
    in_january = {(e.user_id, e.date) for e in OLD}
    assert {r["month"]: r["number"] for r in found} == {"2020-01": len(in_january), "2020-02": len({e.date for e in NEW})}


PAIR = {"events_count_3d": len, "value_sum_3d": lambda past: sum(e.value or 0.0 for e in past)}


def _of_the_pair():
    """More events have a larger sum of values: one of the two features is left out, the one that tells less."""
    worse, better = sorted(PAIR, key=lambda name: _information(PAIR[name]))
    return {worse: f"correlated with {better}"}


def _information(value):
    """What the value of the past three days tells of the number of training events, over the users' days with any of them."""
    events = sorted([*OLD, *NEW], key=lambda e: (e.event_time, e.tie_order))
    by_user = {user: [e for e in events if e.user_id == user] for user in {e.user_id for e in events}}
    labels = {day: n for past in by_user.values() for day, n in Counter((e.user_id, e.date) for e in past[:-2]).items()}
    values = [value([e for e in by_user[user] if 1 <= (day - e.date).days <= 3]) for user, day in labels]
    pairs = Counter(zip(_deciles(values), _deciles(list(labels.values())), strict=True))
    one, other = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    counts = np.array([[pairs[a, b] for b in other] for a in one])
    return max(0.0, mutual_information(counts) - information_by_chance(counts))


def _deciles(values):
    """The bin of each: how many deciles lie below it, and whether it is several of them, which is a bin of its own."""
    deciles = [sorted(values)[math.ceil(len(values) * tenth / 10) - 1] for tenth in range(1, 10)]
    return [(sum(decile < x for decile in deciles), deciles.count(x) > 1) for x in values]


def test_a_second_run_is_skipped_and_a_forced_one_leaves_the_same_rows(house):
    conf = _conf(house)
    assert main(conf) == 0
    before = {name: house.rows(name) for name in ("feature_statistics", "feature_selection")}
    versions = house.versions()
    assert main(conf) == 0
    assert house.versions() == versions
    assert main([*conf, "--force"]) == 0
    assert {name: house.rows(name) for name in before} == before


def test_drift_beyond_a_threshold_ends_with_3_and_is_told_by_feature_statistic_and_month(house, capfd):
    rule = {"reference": "2020-01", "psi": {"fail": 0.5}}
    assert main(_conf(house, drift=rule)) == 0  # of the few rows there are nothing is judged
    assert "psi" not in {r["statistic"] for r in house.table("feature_statistics").collect()}
    assert "drift_of_few_rows" in capfd.readouterr().err
    assert main(_conf(house, drift=rule | {"min_rows": 8})) == 3
    assert "must not drift so far from 2020-01 (features.drift, fail). Received" in (told := capfd.readouterr().err)
    assert "user_features.events_count_3d psi" in told
    assert {r["statistic"] for r in house.table("feature_statistics").collect()} >= {"psi", "ks", "new_labels"}
    assert main(_conf(house, drift={"reference": "2019-05"})) == 3
    assert "user_features, category_features: the reference month of drift must have rows. Received 2019-05" in (
        capfd.readouterr().err
    )
    written = {r["statistic"] for r in house.table("feature_statistics").collect()}
    assert "rows" in written and "psi" not in written  # what there is to know is written all the same
