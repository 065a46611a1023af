"""Lists of URIs in every form, cut anywhere, and rows that are none."""

import bz2
import gzip
import json
import lzma
import re
import zlib

import pytest
import zstandard
from apache_beam.coders import FastPrimitivesCoder
from hypothesis import given
from hypothesis import strategies as st

from beam_job.listing.list_file import Piece, pieces
from beam_job.listing.lists import check_list
from beam_job.listing.rows import BadRow, Fields, Row, rows


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


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b"a.jpg\rb.jpg\r"),
        ("a.txt", b"a.jpg\r\r\nb.jpg\r"),
        ("a.jsonl", b'{"uri": "a.jpg"}\r{"uri": "b.jpg"}'),
        ("a.csv", b'uri,x\ra.jpg,"1\r2"\rb.jpg,3\r'),
        ("a.csv", b'\xef\xbb\xbf"uri","x"\r\n"a.jpg","1"\r\n"b.jpg","2"\r\n'),
        ("a.tsv", b'\xef\xbb\xbf"uri"\t"x"\na.jpg\t"1"\n"b.jpg"\t2'),
        ("a.json", b'\xef\xbb\xbf{"uri": "a.jpg"}\n{"uri": "b.jpg"}\n'),
        ("a.txt", b"\xef\xbb\xbfa.jpg\n\xef\xbb\xbfb.jpg\n"),  # two files, joined
    ],
)
def test_line_ends_and_byte_order_marks(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert read(tmp_path / name) == [Row("a.jpg", None), Row("b.jpg", None)]


def test_names_keep_what_only_looks_like_a_blank_or_a_line_end(tmp_path):
    names = ["a\u2028b.jpg", "\u3000c.jpg\u00a0", "d\u0085e.jpg", "\x1cf.jpg"]
    (tmp_path / "a.txt").write_text("\n".join(f" \t{name} \r" for name in names))
    (tmp_path / "a.csv").write_text("\n".join(["uri", *names]))
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"uri": name}, ensure_ascii=False) for name in names))
    expected = [Row(name, None) for name in names]
    assert read(tmp_path / "a.txt") == read(tmp_path / "a.csv") == expected
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"uri": name}) for name in names))
    assert read(tmp_path / "a.jsonl") == expected


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("a.jsonl", json.dumps({"x" * 100_000: 1})),
        ("a.jsonl", json.dumps({f"column {number}": 1 for number in range(10_000)})),
        ("a.jsonl", "\ufffe" * 100_000),
        ("a.jsonl", '{"uri": 1' + "0" * 10_000 + "}"),
        ("a.csv", "x" * 100_000 + "\n" + "a\n" * 100_000),
        ("a.csv", "," * 100_000 + "\n" + "a\n" * 100_000),
        ("a.csv", 'uri\n"' + "x" * 100_000 + '"' + "y" * 100_000),
    ],
)
def test_messages_repeat_little_of_the_input(tmp_path, name, row):
    (tmp_path / name).write_text(row)
    (bad,) = read(tmp_path / name)
    assert len(bad.message) < 300


def test_a_missing_column_is_said_once_a_file(tmp_path):
    (tmp_path / "a.csv").write_text("url\n" + "x.jpg\n\n" * 1234)
    (bad,) = read(tmp_path / "a.csv")
    assert bad == BadRow(
        f"{tmp_path}/a.csv#1",
        "At line 1: there is no column 'uri'; the columns are ['url']. See --uri_field, --version_field and --carry. "
        "Rows below it that were not read: 1,234.",
    )
    with pytest.raises(ValueError, match=r"--version_field and --carry\. None of its rows can be read\.$"):
        check_list(f"{tmp_path}/a.csv", Fields(), {})


@pytest.mark.parametrize("depth", [90, 120, 490, 900])
def test_carried_fields_that_are_nested_deep(tmp_path, depth):
    (tmp_path / "a.jsonl").write_text(f'{{"uri": "x", "id": {"[" * depth}{"]" * depth}}}\n')
    (row,) = read(tmp_path / "a.jsonl", Fields(carry=("id",)))
    assert isinstance(row, Row if depth < 100 else BadRow)
    FastPrimitivesCoder().encode(tuple(row))
    assert isinstance(row, Row) or "a carried field is nested more than 100 deep" in row.message
    assert read(tmp_path / "a.jsonl") == [Row("x", None)]  # where it is not carried it does no harm


def test_blanks_around_the_names_of_columns(tmp_path):
    """As "path,id, album" has them, and JSON lines that are made of such a table."""
    table, objects = tmp_path / "a.csv", tmp_path / "a.jsonl"
    fields = Fields("path", ("id", "album"), "v")

    def write(*columns):
        table.write_text(",".join(columns) + "\nx.jpg,1,pets,7,8\n")
        objects.write_text(json.dumps(dict(zip(columns, ["x.jpg", "1", "pets", "7", "8"], strict=True))))

    write(" path", "id", " album", "v ", "other")
    for path in (table, objects):
        assert read(path, fields) == [Row("x.jpg", {"id": "1", "album": "pets"}, "7")]
        assert read(path, Fields(" path", (" album",))) == [Row("x.jpg", {" album": "pets"})]
        check_list(str(path), fields, {})
    write("path", "id", "album", "v", " album")  # the one that is spelled like this
    assert [read(path, fields) for path in (table, objects)] == [[Row("x.jpg", {"id": "1", "album": "pets"}, "7")]] * 2
    write("path", "id", "album ", "v", " album")
    for path in (table, objects):
        (bad,) = read(path, fields)
        assert re.search(r"there are several (columns|fields) 'album'; ", bad.message)


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
        ("a.txt", b"\xff\xff\n", "At byte 0: this is not text in UTF-8."),
        ("a.jsonl", b'{"uri": "x"\n', "At byte 0: this is not valid JSON"),
        ("a.jsonl", b"[1]\n", "this is a JSON array"),
        ("a.json", b'[{"uri": "x"}]', "this is a JSON array"),
        ("a.jsonl", b"1\n", "this is not a JSON object."),
        ("a.json", b'{"uri": [\n', "each row is one object on one line."),
        ("a.txt", b"a.jpg\0b.jpg\0", "the row contains a zero byte"),
        ("a.txt", b'[{"uri": "x"}]', "this is JSON"),
        ("a.txt", b'{"uri": "x"}', "this is JSON"),
        ("a.jsonl", b'{"url": "x"}\n', "no text in the field 'uri'; its fields are ['url']"),
        ("a.jsonl", b'{"uri": 3}\n', "no text in the field 'uri'"),
        ("a.jsonl", b'{"uri": ""}\n', "the URI is empty."),
        ("a.jsonl", b'{"uri": "\\ud800"}\n', "the URI is not valid Unicode."),
        ("a.jsonl", b'{"uri": ' + b"[" * 100_000 + b"\n", "nested too deeply"),
        ("a.jsonl", b'{"uri": "x", "n": ' + b"1" * 5000 + b"}\n", "At byte 0: a number in it has thousands of digits."),
        ("a.csv", b"url,id\nx,1\n", "no column 'uri'; the columns are ['url', 'id']"),
        ("a.csv", b"id,uri\n1\n", "At line 2: the URI is empty."),
        ("a.csv", b"uri\n\xff.jpg\n", "the URI is not valid Unicode."),
        ("a.csv", b"uri\n" + b"x" * 1_100_000 + b"\n", "the row is longer than 1,048,576 bytes."),
        ("a.txt", b"x" * 1_100_000, "the row is longer than 1,048,576 bytes."),
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
        check_list(str(path), Fields(), {})
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


def test_versions_are_texts_whole_numbers_and_fractions(tmp_path):
    values = {"7": "7", "1700000000.25": "1700000000.25", "-0.5": "-0.5", '"x y"': "x y", "null": None, '""': None}
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"uri": "x", "v": {value}}}\n' for value in values))
    assert [row.version for row in read(path, Fields(version="v"))] == list(values.values())
    for value in ("NaN", "-Infinity", "1e999", "true", "[1]", '"\\n"'):
        path.write_text(f'{{"uri": "x", "v": {value}}}\n')
        (bad,) = read(path, Fields(version="v"))
        assert "a version is a finite number" in bad.message


def test_rows_after_a_bad_one_are_read(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"uri": "x"}\nnonsense\n{"uri": "y"}\n')
    assert [getattr(row, "uri", None) for row in read(tmp_path / "a.jsonl")] == ["x", None, "y"]
    (tmp_path / "a.csv").write_bytes(b"uri\n" + b"x" * 1_100_000 + b"\ny\n")
    assert [getattr(row, "uri", None) for row in read(tmp_path / "a.csv")] == [None, "y"]


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
