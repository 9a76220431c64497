"""clean_events with everything declared: contracts, outliers and what fills, by numbers that are fitted once."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import yaml
from pyspark.sql import DataFrame

from jobs.clean_events import main

EVENTS = ["user,item,type,time,value,device,id"]
ITEMS = ["item,price,year,maker"]
USERS = ["user,age"]


class Shop:
    """Three CSV files, and a scenario that declares `clean` for them."""

    def __init__(self, spark, folder: Path, clean: dict, **split: str) -> None:
        self.spark, self.folder = spark, folder
        columns = {"user_id": "user", "item_id": "item", "event_type": "type", "event_time": "time", "value": "value"}
        events = {"path": f"{folder}/events.csv", "columns": columns | {"event_id": "id"}, "context": ["device"]}
        items = {"path": f"{folder}/items.csv", "columns": {"item_id": "item", "price": "price", "year": "year"}}
        users = {"path": f"{folder}/users.csv", "columns": {"user_id": "user", "age": "age"}}
        source = {"events": events | {"time": {"unit": "text"}}, "items": items | {"attributes": ["maker"]}, "users": users}
        scenario = {"warehouse": f"{folder}/warehouse", "source": source, "clean": clean}
        if split:
            scenario["sequences"] = {"split": {"by": "global_time", **split}}
        (folder / "conf.yaml").write_text(yaml.safe_dump(scenario))

    def write(self, name: str, lines: list[str]) -> None:
        (self.folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")

    def run(self, *more: str) -> int:
        return main(["--config", str(self.folder / "conf.yaml"), *more])

    def read(self, table: str) -> DataFrame:
        return self.spark.read.format("delta").load(f"{self.folder}/warehouse/{table}")

    def statistics(self) -> dict[tuple[str, str, str, str], float]:
        rows = self.read("statistics").collect()
        return {(r.owner, r.column, r.group, r.statistic): (r.number, str(r.fitted_until)) for r in rows}

    def refused(self) -> set[tuple[str, str, str]]:
        rows = self.read("quarantine").collect()
        return {(r.source, json.loads(r.raw).get("id") or json.loads(r.raw).get("item", ""), *r.reasons) for r in rows}


RULES = {
    "max_refused": 0.9,
    "training_until": "2024-01-03",
    "checks": [
        {"column": "event_id", "unique": True},
        {"column": "context.device", "not_null": True, "otherwise": "warn"},
        {"table": "items", "column": "price", "between": [0, 1000]},
        {"table": "items", "column": "attributes.maker", "matches": "^[a-z]+$"},
        {"table": "users", "column": "age", "not_null": True, "otherwise": "warn"},
    ],
    "caps": [{"key": "item_id", "per_day": 6, "refuse": "excess"}],
    "outliers": [
        {"column": "value", "rule": "quantile", "quantiles": [0, 1], "by": "event_type"},
        {"column": "year", "rule": "quantile", "quantiles": [0, 0.5], "then": "clip"},
    ],
    "impute": [{"column": "price", "with": "mean"}, {"column": "context.device", "with": "carried_forward"}],
}


def test_everything_declared_is_found_and_days_reuse_what_was_fitted(spark, tmp_path):
    shop = Shop(spark, tmp_path, RULES, valid_from="2024-01-03", test_from="2024-01-05")
    training = [f"u,x,view,2024-01-01 10:00:0{n},{n},{'web' if n == 1 else ''},e{n}" for n in range(1, 8)]
    more = [
        "v,y,view,2024-01-01 11:00:00,1,web,e1",
        "v,y,view,2024-01-03 10:00:00,99,web,e9",
        "v,y,buy,2024-01-03 10:00:00,4,web,e8",
    ]
    shop.write("events", [*EVENTS, *training, *more])
    shop.write("items", [*ITEMS, "x,10,1999,acme", "y,20,2001,acme", "z,,2005,acme", "w,5000,2000,acme", "q,1,2000,ACME 2"])
    shop.write("users", [*USERS, "u,30", "v,"])
    assert shop.run() == 0
    assert shop.refused() == {
        ("events", "e7", "item_id_over_cap"),  # the seventh of x on its day
        ("events", "e1", "event_id_repeated"),
        ("events", "e9", "value_outlier"),  # views of the training period reach 7
        ("items", "w", "price_out_of_range"),
        ("items", "q", "attributes.maker_mismatch"),
    }
    items = {r.item_id: (r.price, r.year, r.attributes) for r in shop.read("items").collect()}
    assert items["z"] == (15.0, 2001.0, {"maker": "acme", "year_before_clipping": "2005.0"})
    devices = {r.event_id: r.context for r in shop.read("events").collect()}
    assert devices["e6"] == {"device": "web", "device_imputed": "carried_forward"}
    counts = shop.read("runs").head().counts
    assert (counts["events_warned_context.device_missing"], counts["users_warned_age_missing"]) == (6, 1)
    first = shop.statistics()
    until = "2024-01-03 00:00:00"
    assert {k[2:]: v for k, v in first.items() if k[0] == "events"} == {
        ("", "quantile_0_1_by_event_type_low"): (1.0, until),
        ("", "quantile_0_1_by_event_type_high"): (7.0, until),
        ("view", "quantile_0_1_by_event_type_low"): (1.0, until),
        ("view", "quantile_0_1_by_event_type_high"): (7.0, until),
    }
    # A later day, with another catalogue and a log that reaches further, is cleaned by the same numbers.
    shop.write(
        "events",
        [
            *EVENTS,
            "u,x,view,2024-01-01 10:00:00,70,web,e0",
            "u,y,view,2024-01-01 11:00:00,4,web,f0",
            "u,z,view,2024-01-04 10:00:00,50,web,f1",
            "u,z,view,2024-01-04 10:00:01,5,web,f2",
        ],
    )
    shop.write("items", [*ITEMS, "x,90,1950,acme", "y,,1950,acme"])
    assert shop.run("--date", "2024-01-04") == 0
    assert shop.statistics() == first
    assert ("events", "f1", "value_outlier") in shop.refused()
    assert {r.item_id: r.price for r in shop.read("items").collect()} == {"x": 90.0, "y": 15.0}
    # With the split moved back, what was fitted until the later day is not taken: it knows what is held back now.
    dates = {"by": "global_time", "valid_from": "2024-01-02", "test_from": "2024-01-05"}
    moved = ["--set", "clean.training_until=2024-01-02", "--set", f"sequences.split={json.dumps(dates)}"]
    assert shop.run("--date", "2024-01-04", *moved) == 0
    high = "quantile_0_1_by_event_type_high"
    assert shop.statistics()["events", "value", "view", high] == (70.0, "2024-01-02 00:00:00")
    assert shop.run() == 0
    assert shop.statistics()["items", "price", "", "mean"] == (90.0, "None")
    assert shop.statistics()["events", "value", "view", "quantile_0_1_by_event_type_high"] == (70.0, until)


def test_an_event_id_that_stands_for_several_events_is_refused_undeclared(spark, tmp_path):
    shop = Shop(spark, tmp_path, {"max_refused": 0.5})
    basket = ["u,x,buy,2024-01-01,1,web,order1", "u,y,buy,2024-01-01,1,web,order1"]
    shop.write("events", [*EVENTS, *basket, basket[0], "u,z,buy,2024-01-01,1,web,", "u,w,buy,2024-01-01,1,web,"])
    shop.write("items", [*ITEMS, "x,10,1999,acme"])
    shop.write("users", [*USERS, "u,30"])
    assert shop.run() == 0
    # Of the first row the third is a duplicate, whose place later in the file makes it the one that stays.
    assert sorted(r.item_id for r in shop.read("events").where("event_id = 'order1'").collect()) == ["y"]
    assert {r[2] for r in shop.refused()} == {"event_id_repeated"}
    run = shop.read("runs").head()
    assert (run.rows_in, run.rows_out, run.rows_duplicate, run.rows_refused) == (5, 3, 1, 1)


def test_a_catalogue_that_comes_daily_is_the_newest_valid_state_of_each_item(spark, tmp_path):
    shop = Shop(spark, tmp_path, {"outliers": [{"column": "price"}]})
    shop.write("events", [*EVENTS, "u,x,buy,2024-01-01,1,web,e1"])
    shop.write("users", [*USERS, "u,30"])
    others = [f"z{n},{n},1999,acme" for n in range(1, 9)]
    for day, price in enumerate(("1e8", "2", "3", "1e9"), start=1):  # the last one is a slip, and so is the first
        more = {2: ["y,9,2000,acme"], 4: others}.get(day, [])
        shop.write(f"items-2024-01-0{day}", [*ITEMS, f"x,{price},1999,acme", *more])
    assert shop.run("--set", f"source.items.path={tmp_path}/items-{{date}}.csv") == 0
    prices = {r.item_id: r.price for r in shop.read("items").collect()}
    assert prices == {"x": 3.0, "y": 9.0, **{f"z{n}": n for n in range(1, 9)}}
    assert shop.refused() == {("items", "x", "price_outlier")}
    counts = shop.read("runs").head().counts
    assert (counts["items_rows"], counts["items_refused_price_outlier"], counts["items_duplicates_superseded"]) == (13, 1, 2)


def test_a_check_of_a_catalogue_that_must_not_fail_ends_with_3(spark, tmp_path, capsys):
    checks = [{"table": "items", "column": "price", "not_null": True, "otherwise": "fail"}]
    shop = Shop(spark, tmp_path, {"max_refused": 0.9, "checks": checks})
    shop.write("events", [*EVENTS, "u,x,view,2024-01-01,1,web,e1"])
    shop.write("items", [*ITEMS, "x,10,1999,acme", "y,,2001,acme"])
    shop.write("users", [*USERS, "u,30"])
    assert shop.run() == 3
    assert "items: no row may break price_missing (clean.checks, otherwise: fail)" in capsys.readouterr().err


def test_bounds_of_another_period_than_the_training_period_end_with_2(spark, tmp_path, capsys):
    shop = Shop(spark, tmp_path, {"outliers": [{"column": "value"}]}, valid_from="2024-01-03", test_from="2024-01-05")
    assert shop.run() == 2
    assert "Received training_until=None, valid_from=2024-01-03." in capsys.readouterr().err


# Any dirt at all

DIRT = (
    "",
    " ",
    "NaN",
    "-inf",
    "1e400",
    "9" * 40,
    "\u2028",
    "caf\udce9",
    '"',
    '""',
    "a,b",
    "\x00",
    "null",
    "2024-13-45",
    "\U0001f600",
    "1e17",
)


def fuzzed(rng: random.Random, rows: int, row, dirt: float) -> list[str]:
    """Lines of good rows, of which every field has other text at the rate `dirt`; some come again, lack an end or have more."""
    lines: list[str] = []
    for _ in range(rows):
        fields = [rng.choice(DIRT) if rng.random() < dirt else text for text in row()]
        line = ",".join(fields)
        kind = rng.random()
        if kind < dirt:
            line = rng.choice([line[: rng.randrange(len(line) + 1)], line + ",more", "", rng.choice(lines or [line])])
        lines.append(line)
    return lines


@pytest.mark.parametrize(("clean", "seed"), [({}, 1), (RULES | {"training_until": None}, 2)])
def test_every_fuzzed_row_is_clean_a_duplicate_or_refused_with_a_reason(spark, tmp_path, clean, seed):
    rng = random.Random(seed)
    dirt = rng.uniform(0.02, 0.2)
    shop = Shop(spark, tmp_path, clean | {"max_refused": 1})

    def event() -> list[str]:
        time = f"2024-01-{rng.randrange(1, 20):02d} 10:{rng.randrange(60):02d}:00"
        named = [f"u{rng.randrange(40)}", f"i{rng.randrange(30)}", rng.choice(["view", "buy"]), time]
        return [*named, f"{rng.gauss(5, 3):.2f}", "web", f"e{rng.randrange(10**6)}"]

    shop.write("events", [*EVENTS, *fuzzed(rng, 3000, event, dirt)])
    shop.write("items", [*ITEMS, *fuzzed(rng, 60, lambda: [f"i{rng.randrange(40)}", "9.5", "1999", "acme"], dirt)])
    shop.write("users", [*USERS, *fuzzed(rng, 60, lambda: [f"u{rng.randrange(50)}", "30"], dirt)])
    assert shop.run() == 0
    run = shop.read("runs").head()
    assert run.rows_in == run.rows_out + run.rows_duplicate + run.rows_refused
    assert run.rows_out == shop.read("events").count() > 1000
    refused = shop.read("quarantine").where("source = 'events'")
    assert run.rows_refused == refused.count() > 100
    assert shop.read("quarantine").where("size(reasons) = 0 OR raw IS NULL").count() == 0
    lines = (tmp_path / "events.csv").read_bytes().split(b"\n")[1:-1]
    assert run.rows_in == sum(line.strip(bytes(range(33))) != b"" for line in lines)  # blank lines are no rows
