"""Lists of URIs in every form, cut anywhere, and rows that are none."""

import bz2
import gzip
import json
import lzma
import zlib

import pytest
import zstandard
from apache_beam.coders import FastPrimitivesCoder
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_job.rows import BadRow, Fields, Piece, Row, pieces, rows
from beam_job.uris import check_list


def read(path, fields=Fields()):
    return list(rows(Piece(str(path)), fields))


PACKERS = {
    "": bytes,
    ".gz": gzip.compress,
    ".GZ": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
    ".deflate": zlib.compress,
}


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "a b.jpg\r\n\n  gs://b/ü.jpg  \nc.jpg"),
        ("list.csv", 'id,uri\r\n1,a b.jpg\r\n\r\n2,"gs://b/ü.jpg"\r\n3,c.jpg'),
        ("list.TSV", "uri\tid\na b.jpg\t1\ngs://b/ü.jpg\t2\nc.jpg\t3\n"),
        ("list.jsonl", '{"uri": "a b.jpg", "id": 1}\n\n{"uri": "gs://b/\\u00fc.jpg"}\n{"id": 3, "uri": "c.jpg"}\n'),
    ],
)
def test_every_form(tmp_path, name, text, packed):
    path = tmp_path / (name + packed)
    path.write_bytes(PACKERS[packed](("\ufeff" + text).encode()))
    found = [
        row
        for piece in pieces(str(path), path.stat().st_size, 40 if packed else 10**9)
        for row in rows(piece, Fields())
    ]
    assert found == [Row(uri, None) for uri in ("a b.jpg", "gs://b/ü.jpg", "c.jpg")]


def test_other_columns_and_carried_fields(tmp_path):
    (tmp_path / "a.csv").write_text('id,url,title\n1,x.jpg,"two\nlines, and a comma"\n2,y.jpg\n')
    fields = Fields("url", ("title", "id"))
    assert read(tmp_path / "a.csv", fields) == [
        Row("x.jpg", {"title": "two\nlines, and a comma", "id": "1"}),
        Row("y.jpg", {"title": None, "id": "2"}),
    ]
    (tmp_path / "a.jsonl").write_text('{"url": "x.jpg", "id": 7, "title": ["a"]}\n{"url": "y.jpg"}\n')
    assert read(tmp_path / "a.jsonl", fields) == [
        Row("x.jpg", {"title": ["a"], "id": 7}),
        Row("y.jpg", {"title": None, "id": None}),
    ]
    (tmp_path / "a.txt").write_text("x.jpg\n")
    assert read(tmp_path / "a.txt", fields) == [Row("x.jpg", {"title": None, "id": None})]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"\xff\xfe\n", "At byte 0: this is not text in UTF-8."),
        ("a.jsonl", b'{"uri": "x"\n', "At byte 0: this is not valid JSON"),
        ("a.jsonl", b"[1]\n", "this is no JSON object."),
        ("a.jsonl", b'{"url": "x"}\n', "no text in a field 'uri'; its fields are ['url']"),
        ("a.jsonl", b'{"uri": 3}\n', "no text in a field 'uri'"),
        ("a.jsonl", b'{"uri": ""}\n', "the URI is empty."),
        ("a.jsonl", b'{"uri": "\\ud800"}\n', "the URI is not valid Unicode."),
        ("a.jsonl", b"[" * 100_000 + b"\n", "nested too deeply"),
        ("a.csv", b"url,id\nx,1\n", "no column 'uri'; the columns are ['url', 'id']"),
        ("a.csv", b"id,uri\n1\n", "At line 2: the URI is empty."),
        ("a.csv", b"uri\n\xff.jpg\n", "the URI is not valid Unicode."),
        ("a.csv", b"uri\n" + b"x" * 200_000 + b"\n", "field larger than field limit"),
    ],
)
def test_bad_rows(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    (bad,) = read(path)
    assert isinstance(bad, BadRow)
    assert bad.place.startswith(f"{path}#")
    assert message in bad.message
    with pytest.raises(ValueError, match=f"^--uris {path}: ") as raised:
        check_list(str(path), Fields())
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", "uri,id\nx,\xe9t\xe9\n".encode("latin-1"), "not valid Unicode"),
        ("a.jsonl", b'{"uri": "x", "id": "\\ud800"}\n', "not valid Unicode"),
        ("a.jsonl", b'{"uri": "x", "id": {"a": ["\\ud800"]}}\n', "not valid Unicode"),
        ("a.jsonl", b'{"uri": "x", "id": {"\\ud800": 1}}\n', "not valid Unicode"),
        ("a.jsonl", b'{"uri": "x", "id": NaN}\n', "NaN or Infinity"),
        ("a.jsonl", b'{"uri": "x", "id": [-Infinity]}\n', "NaN or Infinity"),
        ("a.jsonl", b'{"uri": "x", "id": 1e999}\n', "NaN or Infinity"),
    ],
)
def test_carried_fields_that_could_not_be_written(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    (bad,) = read(tmp_path / name, Fields(carry=("id",)))
    assert f"a carried field {'is' if 'Unicode' in message else 'holds'} {message}" in bad.message
    FastPrimitivesCoder().encode(bad)
    (row,) = read(tmp_path / name)  # where it is not carried it does no harm
    assert row == Row("x", None)


def test_rows_after_a_bad_one_are_read(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"uri": "x"}\nnonsense\n{"uri": "y"}\n')
    assert [getattr(row, "uri", None) for row in read(tmp_path / "a.jsonl")] == ["x", None, "y"]
    (tmp_path / "a.csv").write_bytes(b"uri\n" + b"x" * 200_000 + b"\ny\n")
    assert [getattr(row, "uri", None) for row in read(tmp_path / "a.csv")] == [None, "y"]


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.text("ab€", max_size=5), max_size=12), st.integers(1, 40), st.sampled_from(["\n", "\r\n"]))
def test_a_list_that_is_read_in_pieces(tmp_path_factory, uris, piece_bytes, end):
    path = tmp_path_factory.mktemp("pieces") / "list.txt"
    path.write_bytes(end.join(uris).encode())
    found = [row.uri for piece in pieces(str(path), path.stat().st_size, piece_bytes) for row in rows(piece, Fields())]
    assert found == [uri for uri in uris if uri]


def test_tables_and_packed_files_stay_whole():
    assert len(list(pieces("a.txt", 10**9))) == 15
    for name in ("a.csv", "a.tsv.gz", "a.txt.gz", "a.jsonl.gz", "a.txt.bz2", "a.jsonl.zst"):
        assert list(pieces(name, 10**9)) == [Piece(name)]


def test_a_failures_file_is_a_list(tmp_path):
    failure = {"uri": "gs://b/x.jpg", "stage": "fetch", "error": "unavailable", "message": "...", "id": 3}
    bad_row = {"uri": "list.csv#7", "stage": "list", "error": "bad_row", "message": "...", "id": None}
    (tmp_path / "failures-1.jsonl").write_text(f"{json.dumps(bad_row)}\n{json.dumps(failure)}\n")
    assert read(tmp_path / "failures-1.jsonl", Fields(carry=("id",))) == [Row("gs://b/x.jpg", {"id": 3})]
