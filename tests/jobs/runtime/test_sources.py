from __future__ import annotations

import datetime
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from features.errors import ContractError, NoInputError
from features.source.config import EventSource, ItemSource
from features.source.events import parse_events
from features.source.reader import rows_to_read
from jobs.runtime.dates import DateRange
from jobs.runtime.errors import ConfigError
from jobs.runtime.raw_files import split_line
from jobs.runtime.sources import keys_not_found, raw_files, read_raw

COLUMNS = {"user_id": "user", "item_id": "item", "event_time": "time"}
DAY = datetime.date(2024, 5, 1)


def source(path, **more: object) -> EventSource:
    return EventSource.model_validate({"path": str(path), "columns": COLUMNS, **more})


def read(spark, given, dates=None) -> list[tuple]:
    raw = read_raw(spark, "events", given, dates).orderBy("file", "block", "row")
    columns = ["file", "broken", "line", *[F.col(f"fields.{c}").cast("string").alias(c) for c in ("user", "item", "time")]]
    return [tuple(r) for r in raw.select(*columns).collect()]


def test_csv_keeps_every_line_and_says_which_are_broken(spark, tmp_path):
    text = b'user,item,time\nu,"a ""b"", c",1\nu,i\nu,i,1,x\n\nu,caf\xe9,1\n'
    (tmp_path / "a.csv").write_bytes(text)
    assert read(spark, source(tmp_path / "a.csv")) == [
        ("a.csv", False, None, "u", 'a "b", c', "1"),
        ("a.csv", True, "u,i", "u", "i", None),
        ("a.csv", True, "u,i,1,x", "u", "i", "1"),
        ("a.csv", False, None, "u", "caf\ufffd", "1"),
    ]


def test_files_with_other_column_orders_compression_and_byte_order_mark_are_read_together(spark, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfuser,item,time\nu,i,1\n")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"time,more,item,user\n2,m,j,v\n"))
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "_hidden.csv").write_bytes(b"what,ever\n")
    assert read(spark, source(tmp_path)) == [
        ("a.csv", False, None, "u", "i", "1"),
        ("b.csv.gz", False, None, "v", "j", "2"),
    ]


def test_a_json_object_has_a_row_for_each_key_and_a_file_that_is_none_is_one_broken_row(spark, tmp_path):
    (tmp_path / "a.json").write_text('{"i2": ["b", "c"],\n "i1": "a", "i3": null}')
    (tmp_path / "b.json").write_text('{"i4": ["a"')
    (tmp_path / "c.json").write_text("{}")
    columns = {"item_id": "key", "categories": "value"}
    given = ItemSource.model_validate({"path": str(tmp_path), "format": "json_map", "columns": columns})
    raw = read_raw(spark, "items", given).orderBy("file", "block", "row")
    assert [tuple(r) for r in raw.select("file", "broken", "line", "fields.key", "fields.value").collect()] == [
        ("a.json", False, None, "i2", '["b","c"]'),
        ("a.json", False, None, "i1", "a"),
        ("a.json", False, None, "i3", None),
        ("b.json", True, '{"i4": ["a"', None, None),
    ]
    other = ItemSource.model_validate({"path": str(tmp_path), "format": "json_map", "columns": {"item_id": "id"}})
    with pytest.raises(ContractError, match=r"source.items maps columns that are not there: 'id'. Found: 'key', 'value'"):
        read_raw(spark, "items", other)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("u::\u00e9::1\n", {"separator": "::", "encoding": "latin-1", "quote": ""}),
        ("u\t\u00e9\t1\n", {"separator": "\t", "encoding": "windows-1252"}),
        ("u|\u00e9|1\n", {"separator": "|", "encoding": "UTF-8"}),
    ],
)
def test_separators_encodings_and_files_without_header(spark, tmp_path, text, options):
    (tmp_path / "a.dat").write_bytes(text.encode(options["encoding"]))
    assert read(spark, source(tmp_path / "a.dat", header=["user", "item", "time"], **options)) == [
        ("a.dat", False, None, "u", "\u00e9", "1")
    ]


def test_a_file_is_not_opened_for_a_header_that_is_declared(spark, tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.runtime.sources.csv_header", lambda *_: pytest.fail("opened"))
    (tmp_path / "a.csv").write_text("u,i,1\n")
    (tmp_path / "empty.csv").write_text("")
    read_raw(spark, "events", source(tmp_path, header=["user", "item", "time"]))


def test_without_quoting_a_lone_quote_is_a_character(spark, tmp_path):
    (tmp_path / "a.dat").write_text('u|"half|1\nu|i|2\n')
    given = source(tmp_path / "a.dat", header=["user", "item", "time"], separator="|", quote="")
    assert [r[4] for r in read(spark, given)] == ['"half', "i"]


def test_a_quote_within_quotes_may_have_an_escape_before_it(spark, tmp_path):
    text = r"""user,"it\"em",time
u,"a \"b\", c",1
v,"\\",2
w,x\y,3
"""
    (tmp_path / "a.csv").write_text(text)
    given = source(tmp_path / "a.csv", escape="\\", columns=COLUMNS | {"item_id": 'it"em'})
    raw = read_raw(spark, "events", given).orderBy("row")
    assert [tuple(r) for r in raw.select("broken", F.col('fields.`it"em`')).collect()] == [
        (False, 'a "b", c'),
        (False, "\\"),
        (False, r"x\y"),
    ]


def test_a_quoted_line_break_is_read_where_the_source_says_so(spark, tmp_path):
    (tmp_path / "a.csv").write_text('user,item,time\nu,"two\nlines",1\n')
    assert [r[4] for r in read(spark, source(tmp_path / "a.csv", multiline=True))] == ["two\nlines"]


def test_json_lines_keep_the_line_and_nested_values_as_json(spark, tmp_path):
    lines = ['{"user": 1, "item": ["a", "b"], "time": null, "more": 0}', '{"user": 1', "7", "", "{}"]
    (tmp_path / "a.json").write_text("\n".join(lines))
    assert read(spark, source(tmp_path / "a.json", format="json")) == [
        ("a.json", False, lines[0], "1", '["a","b"]', None),
        ("a.json", True, lines[1], None, None, None),
        ("a.json", True, "7", None, None, None),
        ("a.json", False, "{}", None, None, None),
    ]


def test_a_parquet_type_that_spark_does_not_read_is_named_with_the_way_out(spark, tmp_path):
    nanoseconds = pa.array([1], pa.timestamp("ns"))
    pq.write_table(pa.table({"user": ["u"], "item": ["i"], "time": nanoseconds}), tmp_path / "a.parquet", version="2.6")
    with pytest.raises(ContractError, match=r"a.parquet: must hold types .* micro- or milliseconds.*TIMESTAMP\(NANOS"):
        read_raw(spark, "events", source(tmp_path / "a.parquet", format="parquet"))


def test_mapped_keys_that_no_line_has_are_told_with_those_that_are_there(spark, tmp_path):
    lines = ['{"user": 1, "actor": {"id": 2}}', '{"user": 1', "7", "", '{"itme": 3}']
    (tmp_path / "a.json").write_text("\n".join(lines))
    given = source(tmp_path / "a.json", format="json")
    assert keys_not_found(spark, given, None) == {"keys": ["item", "time"], "found": ["actor", "itme", "user"]}
    (tmp_path / "a.json").write_text('{"user": 1, "item": 2}\n{"time": null}')
    assert keys_not_found(spark, given, None) == {}
    (tmp_path / "a.json").write_text("")
    assert keys_not_found(spark, given, None) == {}


def test_parquet_and_delta_keep_types_order_and_the_pinned_version(spark, tmp_path):
    rows = spark.createDataFrame([("u", "i", 2), ("v", "j", 1)], "user string, item string, time bigint").coalesce(1)
    rows = rows.withColumn("a`tick", F.lit(0))
    rows.write.parquet(str(tmp_path / "p"))
    rows.write.format("delta").save(str(tmp_path / "d"))
    rows.limit(1).write.format("delta").mode("overwrite").save(str(tmp_path / "d"))
    for given, users in (
        (source(tmp_path / "p", format="parquet"), ["u", "v"]),
        (source(tmp_path / "d", format="delta"), ["u"]),
        (source(tmp_path / "d", format="delta", version=0), ["u", "v"]),
    ):
        assert [r[3] for r in read(spark, given)] == users
        assert dict(read_raw(spark, "events", given).select("fields.*").dtypes)["time"] == "bigint"
    assert raw_files(spark, "events", source(tmp_path / "d", format="delta"), None) == [(str(tmp_path / "d"), 1, 0)]


def test_rows_of_a_split_file_stay_in_order(spark, tmp_path):
    (tmp_path / "a.csv").write_text("user,item,time\n" + "".join(f"u,i,{n}\n" for n in range(2000)))
    (tmp_path / "b.csv").write_text("user,item,time\nu,i,2000\n")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "4000")
    try:
        raw = read_raw(spark, "events", source(tmp_path)).select("file", "block", "row", "fields.time").collect()
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")
    assert len({r.block for r in raw}) > 3
    assert [int(r.time) for r in sorted(raw)] == list(range(2001))


def test_a_path_with_date_reads_the_days_of_the_run_and_tells_each_rows_day(spark, tmp_path):
    for day in (1, 2, 3):
        folder = tmp_path / f"2024-05-0{day}"
        folder.mkdir()
        (folder / "part.csv").write_text(f"user,item,time\nu{day},i,1\n")
    given = source(tmp_path / "{date}" / "*.csv", late_days=0)
    raw = read_raw(spark, "events", given, DateRange(DAY, DAY + datetime.timedelta(days=1))).orderBy("file")
    assert [tuple(r) for r in raw.select("file", "file_day", "fields.user").collect()] == [
        ("2024-05-01/part.csv", DAY, "u1"),
        ("2024-05-02/part.csv", DAY + datetime.timedelta(days=1), "u2"),
    ]
    assert len(raw_files(spark, "events", given, None)) == 3
    with pytest.raises(NoInputError, match="2024-05-09"):
        raw_files(spark, "events", given, DateRange(datetime.date(2024, 5, 9), datetime.date(2024, 5, 9)))


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_of_events_the_files_of_late_days_around_are_read_too_where_there_are_some(spark, tmp_path, format_):
    day = "2024-05-{:02}".format
    rows = spark.createDataFrame([("u", "i", 1)], "user string, item string, time int").coalesce(1)
    for n in (2, 3, 5, 6):
        rows.write.format(format_).option("header", True).save(str(tmp_path / day(n)))
    given = source(tmp_path / "{date}", late_days=2, format=format_)
    fifth, fourth = datetime.date(2024, 5, 5), datetime.date(2024, 5, 4)
    read_days = [str(r.file_day) for r in read_raw(spark, "events", given, DateRange(fifth, fifth)).orderBy("file").collect()]
    assert read_days == [day(n) for n in (3, 5, 6)]
    assert len(raw_files(spark, "events", given, DateRange(fifth, fifth))) == 3
    with pytest.raises(NoInputError, match=f"Found none at {tmp_path}/2024-05-04.$"):
        raw_files(spark, "events", given, DateRange(fourth, fourth))
    items = ItemSource.model_validate({"path": given.path, "format": format_, "columns": {"item_id": "item"}})
    assert len(raw_files(spark, "items", items, DateRange(fifth, fifth))) == 1


@pytest.mark.parametrize("parent", ["dump of 2025-12-31", "dump*"])
def test_a_date_in_the_name_of_a_folder_above_is_not_the_files_day(spark, tmp_path, parent):
    folder = tmp_path / "dump of 2025-12-31" / "2024-05-01"
    folder.mkdir(parents=True)
    (folder / "part.csv").write_text("user,item,time\nu,i,1\n")
    for template in ("{date}", "{date}/*.csv"):
        raw = read_raw(spark, "events", source(tmp_path / parent / template), DateRange(DAY, DAY))
        assert [r["file_day"] for r in raw.collect()] == [DAY]


def test_a_day_is_told_beside_characters_that_a_uri_does_not_hold(spark, tmp_path):
    for day in ("2024-05-01", "2024-05-02"):
        (tmp_path / f"clicks of {day} (100%).csv").write_text("user,item,time\nu,i,1\n")
    raw = read_raw(
        spark, "events", source(tmp_path / "clicks of {date} (100%).csv"), DateRange(DAY, DAY + datetime.timedelta(days=1))
    )
    assert sorted(r["file_day"] for r in raw.collect()) == [DAY, DAY + datetime.timedelta(days=1)]


def test_files_of_one_name_have_names_of_their_own_where_a_folder_comes_again_or_is_the_root(spark, tmp_path, monkeypatch):
    root = tmp_path / "data"
    for day in ("2024-05-01", "2024-05-02"):
        (root / day / str(root)[1:]).mkdir(parents=True)
        (root / day / str(root)[1:] / "part.csv").write_text("user,item,time\nu,i,1\n")
    given = source(root)
    names = [f"{day}{root}/part.csv" for day in ("2024-05-01", "2024-05-02")]
    assert [r[0] for r in read(spark, given)] == names
    monkeypatch.setattr("jobs.runtime.sources.common_folder", lambda *_: "")  # as of s3a://bucket/{date}/*.csv
    assert [r[0] for r in read(spark, given)] == [f"{root}/{name}"[1:] for name in names]


def test_a_column_may_come_from_the_name_of_the_file(spark, tmp_path):
    for name in ("a/u1.csv", "a/u 2+3%.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("item,time\ni,1\n")
    columns = {"user_id": {"from": "_file", "pattern": r"^a/(u.*)\.csv$"}, "item_id": "item", "event_time": "time"}
    given = source(tmp_path, columns=columns, context=["_file"])
    events = parse_events(read_raw(spark, "events", given), given, DAY, datetime.datetime.now(datetime.UTC)).orderBy("user_id")
    assert [(r.user_id, r.context) for r in events.collect()] == [
        ("u 2+3%", {"_file": "a/u 2+3%.csv"}),
        ("u1", {"_file": "a/u1.csv"}),
    ]


def test_raw_files_tell_path_size_and_time_of_change(spark, tmp_path):
    (tmp_path / "a.csv").write_text("12345")
    [(path, size, changed)] = raw_files(spark, "events", source(tmp_path / "*.csv"), None)
    assert (path, size) == (f"file:{tmp_path}/a.csv", 5)
    assert abs(changed / 1000 - (tmp_path / "a.csv").stat().st_mtime) < 1


def test_a_missing_column_is_named_with_the_file_and_what_was_found(spark, tmp_path):
    (tmp_path / "a.csv").write_text("user,time\nu,1\n")
    with pytest.raises(ContractError) as error:
        read_raw(spark, "events", source(tmp_path / "a.csv"))
    assert "a.csv: source.events maps columns that are not there: 'item'. Found: 'user', 'time'." in str(error.value)


def test_a_column_that_stands_twice_is_refused(spark, tmp_path):
    (tmp_path / "a.csv").write_text("user,item,time,Item\nu,i,1,j\n")
    with pytest.raises(ContractError, match=r"must stand once .* Found \['Item', 'item'\]"):
        read_raw(spark, "events", source(tmp_path / "a.csv"))


def test_keys_of_json_that_differ_in_case_only_are_refused(spark, tmp_path):
    (tmp_path / "a.json").write_text('{"id": 1, "ID": 2, "time": 3}\n')
    given = source(tmp_path / "a.json", format="json", columns=COLUMNS | {"user_id": "id", "item_id": "ID"})
    with pytest.raises(ContractError, match=r"must stand once in whatever case. Found \['ID', 'id'\]"):
        read_raw(spark, "events", given)


def test_missing_and_empty_files_and_tables_are_no_input(spark, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    for given, sentence in (
        (source(tmp_path / "none.csv"), "there must be at least one file"),
        (source(tmp_path / "none", format="parquet"), "there must be at least one file"),
        (source(tmp_path / "none", format="delta"), "there must be a Delta table"),
        (source(tmp_path / "empty.csv"), "Received empty files only"),
    ):
        with pytest.raises(NoInputError, match=sentence):
            read_raw(spark, "events", given)


@pytest.mark.parametrize(
    ("path", "why"), [("nofs://lake/x.csv", 'No FileSystem for scheme "nofs"'), ("/logs/[2026.csv", "Unclosed character class")]
)
def test_a_path_that_is_none_is_a_mistake_of_the_configuration(spark, path, why):
    for given in (source(path), source(path, format="parquet")):
        with pytest.raises(ConfigError) as error:
            raw_files(spark, "events", given, None)
        assert "source.events.path: must be a path or a pattern" in str(error.value) and why in str(error.value)
        assert f"Received {path!r}" in str(error.value)


def test_a_version_that_a_delta_table_does_not_have_is_a_mistake_of_the_configuration(spark, tmp_path):
    spark.range(1).write.format("delta").save(str(tmp_path))
    with pytest.raises(ConfigError, match=rf"source.items.version: must be a version that {tmp_path} has. Received 999"):
        raw_files(spark, "items", source(tmp_path, format="delta", version=999), None)
    with pytest.raises(ConfigError, match=r"source.items.path: .* Received 'nofs://lake/t'"):
        raw_files(spark, "items", source("nofs://lake/t", format="delta"), None)


def test_columns_that_choose_rows_are_needed_too(spark, tmp_path):
    (tmp_path / "a.csv").write_text("user,item,time\nu,i,1\n")
    with pytest.raises(ContractError, match="'status'"):
        read_raw(spark, "events", source(tmp_path, where={"status": "ok"}))
    (tmp_path / "a.json").write_text('{"user": "u", "item": "i", "time": 1, "status": "ok", "more": 0}')
    raw = read_raw(spark, "events", source(tmp_path / "a.json", format="json", where={"status": "ok"}))
    assert rows_to_read(raw, source(tmp_path, where={"status": "ok"})).count() == 1


def test_indicator_columns_are_needed_too(spark, tmp_path):
    (tmp_path / "a.csv").write_text("id,Drama\n1,1\n")
    given = ItemSource.model_validate(
        {"path": str(tmp_path), "columns": {"item_id": "id", "categories": {"from": ["Drama", "Comedy"]}}}
    )
    with pytest.raises(ContractError, match="'Comedy'"):
        read_raw(spark, "items", given)


@pytest.mark.parametrize(
    ("line", "separator", "quote", "fields"),
    [
        ('a,"b,c", d', ",", '"', ("a", "b,c", "d")),
        ("a::b", "::", "", ("a", "b")),
        ('"a"::"b"', "::", '"', ("a", "b")),
        ('a|"b', "|", "", ("a", '"b')),
        (json.dumps("x"), ",", '"', ("x",)),
    ],
)
def test_a_header_is_split_as_its_rows_are(line, separator, quote, fields):
    assert split_line(line, separator, quote) == fields
