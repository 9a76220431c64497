from pathlib import Path

import pytest
import yaml

from jobs.runtime import config
from jobs.runtime.config import load
from jobs.runtime.errors import ConfigError
from jobs.runtime.job import Job
from jobs.runtime.run import Run
from tests.scenario import ROOT

GOOD = """
warehouse: /w
source:
  events:
    path: events.csv
    columns: {user_id: u, item_id: i, event_time: t}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def message(folder: Path, text: str, *overrides: str) -> list[str]:
    path = written(folder, text)
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    return str(caught.value).replace(path, "FILE").splitlines()


def test_a_scenario_of_six_lines_has_a_default_for_all_the_rest(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, GOOD))
    assert (scenario.model.dim, scenario.scoring.top_k, scenario.source.events.format) == (64, 100, "csv")


@pytest.mark.parametrize("path", sorted((ROOT / "conf").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_scenarios(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEFORMER_DATA", "/data")
    assert load(str(path)).name == path.stem


def test_the_printed_configuration_has_the_defaults_and_is_that_of_the_scenario(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(run: Run) -> None:
        raise AssertionError("nothing is to run")

    path = written(tmp_path, GOOD)
    assert Job("idle", build).main(["--config", path, "--set", "model.dim=32", "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["scoring"]["top_k"] == 100
    assert load(written(tmp_path, printed)).dump() == load(written(tmp_path, GOOD), ["model.dim=32"]).dump()


def test_three_mistakes_are_three_lines_with_file_key_rule_and_value(tmp_path: Path) -> None:
    text = GOOD + "training: {epochs: 0}\nscoring: {topk: 3}\nclean: {max_refused: 2}\n"
    assert message(tmp_path, text) == [
        "FILE: clean.max_refused: Input should be less than or equal to 1. Received 2.",
        "FILE: training.epochs: Input should be greater than 0. Received 0.",
        "FILE: scoring.topk: Extra inputs are not permitted. Received 3.",
    ]


def test_heads_that_do_not_divide_dim_are_named(tmp_path: Path) -> None:
    assert message(tmp_path, GOOD + "model: {dim: 100, heads: 3}") == [
        "FILE: model: dim must be a multiple of heads. Received dim=100, heads=3."
    ]


def test_a_seed_that_no_generator_takes_is_refused(tmp_path: Path) -> None:
    assert message(tmp_path, GOOD + "training: {seed: 4294967296}") == [
        "FILE: training.seed: Input should be less than 4294967296. Received 4294967296."
    ]


def test_a_missing_key_says_that_it_must_be_given(tmp_path: Path) -> None:
    assert message(tmp_path, "warehouse: w\nsource: {events: {path: x}}") == [
        "FILE: source.events.columns: must be given. Received nothing."
    ]


def test_a_key_that_stands_twice_is_refused_where_yaml_would_keep_the_last(tmp_path: Path) -> None:
    (line,) = message(tmp_path, GOOD + "model:\n  dim: 32\n  dim: 64\n")
    assert "a key stands once. Received ['dim'] twice" in line


def test_a_mapping_can_be_merged_into_others_whose_own_keys_win(tmp_path: Path) -> None:
    merged = "features:\n  user: [&week {sum: value, days: [7]}, {<<: *week, sum: value, days: [30]}]\n"
    _, month = load(written(tmp_path, GOOD + merged)).features.user
    assert month.days == (30,)


@pytest.mark.parametrize(
    ("text", "rule"), [("- a\n- b", "must be a mapping of keys"), ("a: [", "must be YAML"), ("", "must be a mapping of keys")]
)
def test_a_file_that_is_no_scenario_is_refused(tmp_path: Path, text: str, rule: str) -> None:
    (line,) = message(tmp_path, text)
    assert line.startswith("FILE: ") and rule in line


@pytest.mark.parametrize("value", ["2026-02-30", "2026-02-03 25:00:00", "0b_"])
def test_what_looks_like_a_date_or_a_number_and_is_none_is_refused_in_file_and_override(tmp_path: Path, value: str) -> None:
    rule = f"must be a date, a time or a number that exists, or in quotes. Received {value!r}"
    (line,) = message(tmp_path, GOOD + f"sequences: {{split: {{valid_from: {value}}}}}")
    assert line.startswith(f"FILE: line 7: {rule}")
    (line,) = message(tmp_path, GOOD, f"sequences.split.valid_from={value}")
    assert line.startswith(f"FILE: --set sequences.split.valid_from: line 1: {rule}")


@pytest.mark.parametrize(("text", "override"), [("model: &m {dim: *m}", "name=x"), ("", "model=&m {dim: *m}")])
def test_a_value_that_holds_itself_is_refused(tmp_path: Path, text: str, override: str) -> None:
    assert message(tmp_path, GOOD + text, override) == [
        "FILE: a value must not hold itself. Received an anchor that its own value refers to."
    ]


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"conf/none\.yaml: must be a YAML file that can be read"):
        load("conf/none.yaml")


def test_environment_variables_are_put_in_and_a_missing_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE", "/data/w")
    monkeypatch.delenv("ABSENT", raising=False)
    assert load(written(tmp_path, GOOD.replace("/w", "${WAREHOUSE}/x"))).warehouse == "/data/w/x"
    assert load(written(tmp_path, GOOD.replace("/w", "${ABSENT:-/else}"))).warehouse == "/else"
    assert load(written(tmp_path, GOOD.replace("/w", "${ABSENT}")), ["warehouse=${WAREHOUSE}/y"]).warehouse == "/data/w/y"
    assert message(tmp_path, GOOD.replace("/w", "/a%20b")) == [
        "FILE: warehouse: must not hold % and two digits, which stand for another character to some. Received '/a%20b'."
    ]
    assert message(tmp_path, GOOD.replace("/w", "${ABSENT}"))[0] == (
        "FILE: warehouse: the environment variable must be set. Received no ABSENT."
    )


def test_overrides_reach_any_depth_and_are_checked_like_the_file(tmp_path: Path) -> None:
    scenario = load(written(tmp_path, GOOD), ["training.loss.value=0.5", "sequences.split={by: leave_one_out}"])
    assert scenario.training.loss.value == 0.5
    assert message(tmp_path, GOOD, "model.dim", "warehouse.x=1") == [
        "FILE: --set: must be key=value. Received 'model.dim'.",
        "FILE: --set warehouse.x: must name a key in a mapping. Received 'warehouse.x=1'.",
    ]


def test_features_can_only_be_of_the_context_that_the_source_has_or_that_cleaning_adds(tmp_path: Path) -> None:
    of_device, of_marks = (
        f"features.item=[{{count: events, where: {{context.{name}: x}}}}]" for name in ("device", "device_imputed")
    )
    impute = "clean.impute=[{column: context.device, with: carried_forward}]"
    assert message(tmp_path, GOOD, of_device) == [
        "FILE: features.item: a column of the context must stand in source.events.context. Received ['context.device']."
    ]
    device = GOOD + "    context: [device]\n"
    load(written(tmp_path, device), [of_device])
    load(written(tmp_path, device), [of_marks, impute])
    assert "Received ['context.device_imputed']" in message(tmp_path, device, of_marks)[0]
    clipped = "features.user=[{mean: context.value_before_clipping}]"
    load(written(tmp_path, GOOD), [clipped, "source.events.columns.value=v", "clean.outliers=[{column: value, then: clip}]"])
    assert "Received ['context.value_before_clipping']" in message(tmp_path, GOOD, clipped)[0]


def test_features_can_only_be_of_types_that_the_source_accepts(tmp_path: Path) -> None:
    typed = GOOD.replace("event_time: t}", "event_time: t, event_type: a}\n    event_types: [view, buy]")
    bye = "features.user=[{count: events, where: {event_type: [buy, bye]}}]"
    assert message(tmp_path, typed, bye) == [
        "FILE: features.user: where.event_type must be of source.events.event_types: ['buy', 'view']. Received ['bye']."
    ]
    load(written(tmp_path, typed), ["features.user=[{count: events, where: {event_type: buy}}]"])
    load(written(tmp_path, typed.replace("event_types: [view, buy]", "context: []")), [bye])


@pytest.mark.parametrize(
    ("overrides", "names"),
    [([], []), (["source.items={path: i, columns: {item_id: i, year: y, categories: c}}"], ["categories", "year"]),
     (["source.items={path: i, columns: {item_id: i, year: y}}", "content.item=[]"], [])],
)  # fmt: skip
def test_the_model_reads_what_the_catalogue_has_unless_it_is_declared(
    tmp_path: Path, overrides: list[str], names: list[str]
) -> None:
    assert [field.name for field in load(written(tmp_path, GOOD), overrides).content.of("item")] == names


def test_content_can_only_be_of_what_the_source_has(tmp_path: Path) -> None:
    of_users, of_brands = "content.user=[{labels: segment}]", "content.item=[{labels: attributes.brand}]"
    assert message(tmp_path, GOOD, of_users) == ["FILE: content.user needs source.users. Received no source.users."]
    assert message(tmp_path, GOOD, of_brands, "source.items={path: i, columns: {item_id: i}, attributes: [color]}") == [
        "FILE: content.item: an attribute must stand in source.items.attributes. Received ['brand']."
    ]


@pytest.mark.parametrize(
    ("overrides", "ranked"),
    [([], False), (["scoring.exclude=[]"], True), (["scoring.exclude=[]", "training.rank_seen=false"], False)],
)
def test_validation_ranks_what_scoring_recommends(tmp_path: Path, overrides: list[str], ranked: bool) -> None:
    assert load(written(tmp_path, GOOD), overrides).training.rank_seen is ranked


@pytest.mark.parametrize(
    ("overrides", "known"),
    [([], True), (["source.events.time={unit: order}"], False),
     (["source.events.time={unit: none}", "source.events.columns={user_id: u, item_id: i}"], False),
     (["source.events.time={unit: order}", "model.request_context=true"], True), (["model.request_context=false"], False)],
)  # fmt: skip
def test_a_request_knows_its_time_where_times_are_not_made_up(tmp_path: Path, overrides: list[str], known: bool) -> None:
    assert load(written(tmp_path, GOOD), overrides).model.knows_request_time is known


def test_an_override_leaves_what_shares_an_anchor_with_its_key_alone(tmp_path: Path) -> None:
    text = "a: &x {path: p, time: {unit: s}}\nb: *x\nc: {<<: *x}\n"
    (tmp_path / "anchors.yaml").write_text(text)
    values, mistakes = config._read(str(tmp_path / "anchors.yaml")), list[str]()
    for override in ("a.path=q", "c.time.unit=ms"):
        config._override(values, override, mistakes)
    assert not mistakes and [values["a"]["path"], values["b"]["path"]] == ["q", "p"]
    assert [values[key]["time"]["unit"] for key in "abc"] == ["s", "s", "ms"]


def test_the_hash_follows_the_values_of_its_sections_only(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    small, large = load(path), load(path, ["model.dim=128"])
    assert small.hash("clean") == large.hash("clean")
    assert small.hash("model") != large.hash("model")
