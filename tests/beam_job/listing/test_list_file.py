"""List files: their lines, in pieces and in bounded memory, and files that are no lists."""

import gzip
import io
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_job.listing import list_file
from beam_job.listing.list_file import Line, ListError, Piece, kind, lines, pieces
from tests.photos import SAMPLES

PARTS = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"bc", "é".encode(), b"x" * 9]), max_size=30)


@settings(max_examples=300)
@given(PARTS, st.integers(1, 12), st.integers(1, 5))
def test_lines_read_in_pieces(tmp_path_factory, parts, piece_bytes, read_bytes):
    """Each line is in one piece, as it is in the file; those of more than eight bytes are left out, and known."""
    data = b"".join(parts)
    path = tmp_path_factory.mktemp("lines") / "list.txt"
    path.write_bytes(data)
    expected, position = [], 0
    for line in data.splitlines(keepends=True):
        expected.append(Line(position, line if len(line) <= 8 else None))
        position += len(line)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(list_file, "ROW_BYTES", 8)
        patch.setattr(list_file, "_READ_BYTES", read_bytes)
        assert [line for piece in pieces(str(path), len(data), piece_bytes) for line in lines(piece)] == expected


def test_a_line_without_end_costs_no_memory_and_is_read_once(tmp_path, monkeypatch):
    path = tmp_path / "list.txt.gz"
    path.write_bytes(gzip.compress(b"a.jpg\n" + bytes(64 << 20) + b"\nb.jpg\n"))
    monkeypatch.setattr(list_file, "ROW_BYTES", 1000)
    assert [line.data for line in lines(Piece(str(path)))] == [b"a.jpg\n", None, b"b.jpg\n"]
    first = lines(Piece(str(path)))
    assert [next(first).data, next(first).data] == [b"a.jpg\n", None]  # at once, not at the end of the line

    path = tmp_path / "list.txt"
    path.write_bytes(b"a" * (8 << 20))
    read = []
    real = list_file.FileSystems.open

    def counted(*args, **kwargs):
        file = real(*args, **kwargs)
        return type(
            "File", (), {"read": lambda _, n: read.append(n) or file.read(n), "seek": file.seek, "close": file.close}
        )()

    monkeypatch.setattr(list_file.FileSystems, "open", counted)
    found = [line for piece in pieces(str(path), 8 << 20, 1 << 20) for line in lines(piece)]
    assert found == [Line(0, None)]
    assert sum(read) < 10 << 20


def archive():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")
    return data.getvalue()


def tar_archive():
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a.jpg\nb.jpg\n".encode("utf-16"), "UTF-16"),
        ("\ufeffa.jpg\n".encode("utf-16-be"), "UTF-16"),
        ("a.jpg\nü.jpg\n".encode("utf-16-le"), "UTF-16"),
        ("a.jpg\nb.jpg\n".encode("utf-16-be"), "UTF-16"),
        ("a.jpg\nb.jpg\n".encode("utf-32"), "UTF-32"),
        ("a.jpg\nb.jpg\n".encode("utf-32-le"), "UTF-32"),
        (gzip.compress(b"a.jpg\n"), "compressed by gzip: unpack it, or rename it so that its name ends with .gz"),
        (archive(), "a ZIP archive or a workbook (.xlsx, .ods): export it as CSV"),
        (b"PAR1\x15\x04\x15\0\x4c\x1c", "a Parquet file"),
        (SAMPLES[0].read_bytes(), "an image: name images with --images"),
        (b"%PDF-1.7\n", "a PDF"),
        (tar_archive(), "a tar archive: unpack it"),
        (b"\n<!DOCTYPE html>\n<html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    ],
    ids=lambda value: "data" if isinstance(value, bytes) else value,  # archives hold the time of day
)
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
def test_files_that_are_no_lists(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ListError) as raised:
        next(lines(Piece(str(tmp_path / name))))
    assert str(raised.value).startswith(f"The list {tmp_path / name} is ")
    assert message in str(raised.value)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
    with pytest.raises(ListError):
        next(lines(Piece(str(tmp_path / f"{name}.gz"))))


@pytest.mark.parametrize(
    "first", [b"ORCA.jpg", b"PAR1S.jpg", b"BZh.jpg", b"GIF89.jpg", b"PK.jpg", b"MM.jpg", b"a\0b.jpg"]
)
def test_names_that_begin_like_other_files(tmp_path, first):
    (tmp_path / "a.txt").write_bytes(first + b"\nb.jpg")
    assert [line.data for line in lines(Piece(str(tmp_path / "a.txt")))] == [first + b"\n", b"b.jpg"]


def test_damage_names_the_list(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"a.jpg\n" * 1000)[:-1])
    with pytest.raises(ListError, match=r"^The list -, or so, ends too early: a part of it is missing\.$"):
        list(lines(Piece(str(tmp_path / "a.txt.gz"), name="-, or so,")))


def test_kinds():
    names = {"a.csv": "csv", "a.TSV.gz": "tsv", "a.json": "jsonl", "a.ndjson.zst": "jsonl", "a": "text", "-": "text"}
    assert {name: kind(name) for name in names} == names
