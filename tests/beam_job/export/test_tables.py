"""Tables as spreadsheets, DuckDB and pandas read them."""

import csv
import json

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_job.export.command import main
from beam_job.export.tables import write
from beam_job.export.tables.csv_cells import BOM, header, line, safe
from beam_job.export.tables.published import WRITTEN, TableError, TablePlace, tables
from beam_job.export.tables.rows import row, schema
from tests.beam_job.export.archive import counts, last_counts, run_of
from tests.closed_folders import closed

HOSTILE = ['=HYPERLINK("http://x","y")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1+1", '"=1', "\n@x"]
RECORD = {
    "uri": '/photos/ü, "a".jpg',
    "caption": "A dog, “Rex”.\nIt runs.",
    "score": -0.5432,
    "captions": [
        {
            "text": "A dog.",
            "tokens": ["a", "dog"],
            "num_tokens": 2,
            "score": -0.5,
            "min_log_prob": -1,
            "ended": True,
            "attention": [[0.5]],
        },
        {"text": "A cat.", "tokens": ["a", "cat"], "score": -0.9, "mean_log_prob": -0.7, "ended": False},
    ],
    "width": 640,
    "height": 480,
    "model": "m",
    "album": "=cmd|'/c calc'!A1",
    "id": "-5",
    "taken": {"year": 1962},
}


def archive(folder, records):
    """A finished run whose list carried three fields."""
    return run_of(folder, records, carry="album,id,taken")


def export(folder, kind, *options, status=0):
    assert main([str(folder), "--to", kind, "--runner", "DirectRunner", *options]) == status
    return None if status else last_counts(folder)


def test_a_csv_is_read_by_spreadsheets_and_stays_where_nothing_changes(tmp_path, capsys):
    others = [{"uri": f"/photos/{number}.jpg", "caption": text} for number, text in enumerate(HOSTILE)]
    captions = archive(tmp_path / "captions", [RECORD, *others])
    path = captions / "captions.csv"
    assert export(captions, "csv") == counts(written=11)
    data = path.read_bytes()
    assert data.startswith(
        BOM.encode() + b'"uri","caption","source","score","chance","model","run","width","height","album"'
    )
    rows = list(csv.DictReader(data.decode("utf-8-sig").splitlines(keepends=True)))
    assert [row["uri"] for row in rows] == sorted(row["uri"] for row in rows)
    assert data.count(b"\r\n") == 12
    found = {row["uri"]: row for row in rows}
    assert found[RECORD["uri"]] == {
        "uri": RECORD["uri"],
        "caption": RECORD["caption"],
        "source": "model",
        "score": "-0.5432",
        "chance": "",
        "model": "m",
        "run": "20260102T030405Z-a1b2c3",
        "width": "640",
        "height": "480",
        "album": "'=cmd|'/c calc'!A1",
        "id": "-5",
        "taken": '{"year": 1962}',
    }
    assert [found[f"/photos/{number}.jpg"]["caption"] for number in range(10)] == [f"'{text}" for text in HOSTILE]
    frame = pd.read_csv(path)
    assert frame.shape == (11, 12)
    assert frame["score"].dtype == float
    assert duckdb.sql(f"select count(*), min(score) from read_csv('{path}')").fetchall() == [(11, -1.0)]

    before = path.stat().st_mtime_ns
    capsys.readouterr()
    assert export(captions, "csv") == counts(unchanged=11)
    assert "Nothing changed." in capsys.readouterr().err
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (data, before)
    assert not [
        found for found in captions.rglob("*") if found.name.startswith(("part-", "table.csv", "captions.csv."))
    ]

    run_of(captions, [{"uri": RECORD["uri"], "caption": "Newer."}], "run=20260202T030405Z-000000")
    assert export(captions, "csv", "--min_score", "-1") == counts(written=11)
    assert b"Newer." in path.read_bytes()


def test_a_persons_table_is_never_replaced(tmp_path, capsys):
    captions = archive(tmp_path / "captions", [RECORD])
    path = tmp_path / "mine.csv"
    path.write_text("mine")
    assert export(captions, "csv", "--output", str(path), status=2) is None
    assert "this file was not written by an export, or was changed since" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert export(captions, "csv", "--output", f"file://{path}", "--overwrite") == counts(written=1)
    path.write_bytes(path.read_bytes() + b"a note")
    assert export(captions, "csv", "--output", str(path), status=2) is None
    assert path.read_bytes().endswith(b"a note")


def test_a_table_is_known_in_every_folder(tmp_path, monkeypatch):
    exports = tmp_path / "captions" / "exports"
    table = exports / "1" / "table.csv"
    table.parent.mkdir(parents=True)
    table.write_text("uri,caption\n")
    monkeypatch.chdir(tmp_path)
    assert TablePlace("captions.csv", str(exports)).publish(str(table), []) == WRITTEN
    TablePlace("captions.csv", str(exports)).check()
    monkeypatch.chdir(exports)
    TablePlace(f"{tmp_path}/captions.csv", str(exports)).check()
    assert tables(str(exports)) == [f"{tmp_path}/captions.csv"]


def test_a_table_in_an_archive_that_was_moved_is_known(tmp_path):
    captions = archive(tmp_path / "captions", [RECORD])
    export(captions, "csv")
    captions.rename(tmp_path / "moved")
    (note,) = tmp_path.rglob("table.json")
    assert json.loads(note.read_text())["path"] == "../captions.csv"
    assert tables(f"{tmp_path}/moved/exports") == [f"{tmp_path}/moved/captions.csv"]
    export(tmp_path / "moved", "csv")


def test_a_table_that_an_earlier_export_noted_from_its_folder_is_known_there(tmp_path, monkeypatch):
    for name, note in (("1", '{"path": "captions.csv", "sha256": "5"}'), ("2", '{"path": 5}'), ("3", "[]")):
        (tmp_path / "exports" / name).mkdir(parents=True)
        (tmp_path / "exports" / name / "table.json").write_text(note)
    (tmp_path / "captions.csv").write_text("")
    monkeypatch.chdir(tmp_path)
    assert tables("exports") == [f"{tmp_path}/captions.csv"]
    monkeypatch.chdir(tmp_path / "exports")
    assert tables(".") == []


def test_a_table_that_somebody_saves_meanwhile_is_not_replaced(tmp_path, monkeypatch, capsys):
    captions = archive(tmp_path / "captions", [RECORD])
    path = captions / "captions.csv"

    def merge(parts):
        path.write_text("mine")
        return merge_parts(parts)

    merge_parts = write.merge
    monkeypatch.setattr(write, "merge", merge)
    export(captions, "csv", status=1)
    assert "captions.csv: this file was not written by an export" in capsys.readouterr().err
    assert path.read_text() == "mine"


@pytest.mark.parametrize("number", [3, 4, 11])
def test_only_so_many_parts_are_open_at_once(number, tmp_path, monkeypatch):
    opened, most = [], 0

    def open_file(path, *arguments, **more):
        nonlocal most
        opened.append(open_as_beam_does(path, *arguments, **more))
        most = max(most, sum(not file.closed for file in opened))
        return opened[-1]

    open_as_beam_does = write.FileSystems.open
    monkeypatch.setattr(write.FileSystems, "open", open_file)
    monkeypatch.setattr(write, "_AT_ONCE", 3, raising=False)
    folder = tmp_path / "exports" / "1"
    folder.mkdir(parents=True)
    uris = [f"{index:02}" for index in range(5 * number)]
    parts = [folder / f"part-{index:032}.jsonl" for index in range(number)]
    for index, part in enumerate(parts):
        records = [{"uri": uri, "caption": "ü"} for uri in uris[index::number]]
        part.write_text("".join(json.dumps(record) + "\n" for record in records))
    place = TablePlace(str(tmp_path / "a.csv"), str(tmp_path / "exports"))
    assert write._write(str(folder / "table.csv"), place, (), list(map(str, parts))) == "written"
    assert most == 3
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text("utf-8-sig").splitlines()))
    assert [(row["uri"], row["caption"]) for row in rows] == [(uri, "ü") for uri in uris]
    assert [path.name for path in folder.iterdir()] == ["table.json"], "no part stays"


def test_a_linked_table_stays_a_link(tmp_path):
    captions = archive(tmp_path / "captions", [RECORD])
    (tmp_path / "table.csv").symlink_to("there.csv")
    assert export(captions, "csv", "--output", str(tmp_path / "table.csv")) == counts(written=1)
    assert (tmp_path / "table.csv").is_symlink()
    assert (tmp_path / "there.csv").stat().st_size


def test_parquet_is_typed_and_holds_all_captions(tmp_path):
    labels = [{"label": "collie", "probability": 0.5}, {"label": 5}, "pug"]
    odd = {"uri": "b", "caption": "B.", "width": "wide", "captions": 5}
    captions = archive(tmp_path / "captions", [{**RECORD, "labels": labels}, odd])
    path = captions / "captions.parquet"
    assert export(captions, "parquet") == counts(written=2)
    table = pq.read_table(path)
    assert table.schema.equals(schema(["album", "id", "taken"]))
    first, second = table.to_pylist()
    assert (first["uri"], first["score"], first["album"]) == (RECORD["uri"], -0.5432, RECORD["album"])
    assert [caption["text"] for caption in first["captions"]] == ["A dog.", "A cat."]
    assert first["captions"][1]["tokens"] == ["a", "cat"]
    assert [caption["mean_log_prob"] for caption in first["captions"]] == [None, -0.7]
    assert first["labels"] == [{"label": "collie", "probability": 0.5}, {"label": None, "probability": None}]
    assert second["labels"] == []
    assert (second["width"], second["captions"], second["score"]) == (None, [], -1.0)
    query = f"select c.text from (select unnest(captions) as c from '{path}') order by c.score"
    assert duckdb.sql(query).fetchall() == [("A cat.",), ("A dog.",)]
    assert pd.read_parquet(path)["width"].tolist()[0] == 640
    data = path.read_bytes()
    assert export(captions, "parquet") == counts(unchanged=2)
    assert path.read_bytes() == data


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_of_no_captions_has_its_columns(kind, tmp_path, capsys):
    captions = archive(tmp_path / "captions", [RECORD])
    path = tmp_path / f"none.{kind}"
    assert export(captions, kind, "--output", str(path)) == counts(written=1)
    capsys.readouterr()
    assert export(captions, kind, "--output", str(path), "--min_score", "0") == counts(left_out=1)
    assert "Nothing changed." not in capsys.readouterr().err, "the table has lost its rows"
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}[kind]
    assert len(read(path)) == 0
    assert "album" in read(path).columns


CELLS = st.text(st.characters()) | st.sampled_from(HOSTILE) | st.integers() | st.none() | st.lists(st.text())


@given(st.dictionaries(st.sampled_from(["uri", "caption", "score", "album", "width", "captions", "labels"]), CELLS))
def test_any_record_is_a_row_that_computes_nothing(record):
    record = {"uri": "u", "caption": "c", **record}
    text = (header(["album"]) + line(record, ["album"])).decode()
    names, cells = csv.reader(text.removeprefix(BOM).splitlines(keepends=True), strict=True)
    assert len(names) == len(cells)
    for name, cell in zip(names, cells, strict=True):
        number = name in ("score", "width") or cell.lstrip("+-").replace(".", "").replace(",", "").isdecimal()
        assert (
            number
            or cell.lstrip("\x00 \n\r\t\"'\ufeff\u200b")[:1] not in tuple("=+-@\uff1d\uff0b\uff0d\uff20")
            or cell[0] == "'"
        )
    made = row(record, ["album"])
    assert set(made) == set(schema(["album"]).names)


def test_numbers_stay_numbers():
    for text in ("-5", "+1.5", "-0,5", "1e-5", "-1E9", "a-b", "", "A dog = a friend"):
        assert safe(text) == text
    for text in ("-5+cmd", "-a", "+", "--5", "-5 ", "1\x00"):
        assert safe(text) != text


def test_a_table_is_not_blamed_where_the_notes_of_exports_cannot_be_read(tmp_path):
    exports = tmp_path / "exports"
    exports.mkdir()
    (tmp_path / "a.csv").write_text("uri,caption\n")
    place = TablePlace(str(tmp_path / "a.csv"), str(exports))
    with closed(exports), pytest.raises(TableError, match=f"{exports} cannot be read: this account lacks permission"):
        place.check()
    exports.rename(tmp_path / "elsewhere")
    exports.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TableError, match=f"may have written this file, but {exports} is a symbolic link, which"):
        place.check()


def test_the_name_of_a_note_that_is_none_is_escaped(tmp_path, caplog):
    (tmp_path / "\x1b[2J").mkdir()
    (tmp_path / "\x1b[2J" / "table.json").write_text("[")
    assert tables(str(tmp_path)) == []
    assert f"{tmp_path}/\\x1b[2J/table.json is not valid JSON." in caplog.text
