"""JSON that anybody may have written: what is taken, and what is said of the rest."""

import gzip

import pytest
from apache_beam.io.filesystems import FileSystems

from beam_job.files import document
from beam_job.files.document import (
    UnreadableError,
    is_number,
    is_shallow,
    is_text,
    open_file,
    parse_line,
    read_document,
)


def test_documents_have_a_limit(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    path.write_bytes(b'{"a": 5}')
    monkeypatch.setattr(document, "_DOCUMENT_BYTES", 8)
    assert read_document(str(path)) == {"a": 5}
    assert read_document(f"{path}/x") is None
    path.write_bytes(b'{"a": 5} ')
    with pytest.raises(UnreadableError, match=r"^has more than 8 bytes$"):
        read_document(str(path))
    monkeypatch.setattr(document, "_DOCUMENT_BYTES", 100)
    for odd, message in ((b"[]", "is not a JSON object"), (b"{", "is not valid JSON"), (b"\xff", "is not valid JSON")):
        path.write_bytes(odd)
        with pytest.raises(UnreadableError, match=f"^{message}$"):
            read_document(str(path))


def test_what_may_be_computed_with():
    assert [is_number(value) for value in (0, -1.5, 999_999_999_999_999, -1e14)] == [True] * 4
    assert [is_number(value) for value in (1e15, -1e15, float("nan"), float("inf"), True, "1", None)] == [False] * 7


def test_how_deep_is_shallow():
    def nested(depth, kind):
        value = 1
        for _ in range(depth):
            value = {"a": value} if kind is dict else [value]
        return value

    for kind in (dict, list):
        assert is_shallow(nested(16, kind))
        assert not is_shallow(nested(17, kind))
    assert not is_shallow([1, nested(16, dict)])


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / "outside.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "outside.json")
    (tmp_path / "folder.json").mkdir()
    for name in ("link.json", "folder.json"):
        with pytest.raises(UnreadableError, match=r"^is not a regular file$"):
            read_document(f"{tmp_path}/{name}")
    assert read_document(f"{tmp_path}/none.json") is None


class HttpError(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (HttpError(404), FileNotFoundError, "gs://b/x"),
        (HttpError(403), UnreadableError, "cannot be read: this account lacks permission"),
        (HttpError(500), HttpError, "500"),
        (PermissionError(13, "no"), UnreadableError, "cannot be read: this account lacks permission"),
        (NotImplementedError(), UnreadableError, "uses a compression that Beam does not support"),
        (NotADirectoryError(), FileNotFoundError, "gs://b/x"),
        (ValueError("odd"), ValueError, "odd"),
    ],
)
def test_what_storages_raise(monkeypatch, raised, expected, message):
    def refuse(path, **_):
        raise raised

    monkeypatch.setattr(FileSystems, "open", refuse)
    with pytest.raises(expected) as caught:
        open_file("gs://b/x")
    assert str(caught.value) == message


def test_packed_files_are_read_as_they_are(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"{}"))
    with open_file(f"{tmp_path}/a.gz") as file:
        assert gzip.decompress(file.read()) == b"{}"


def test_numbers_that_json_does_not_have_are_refused():
    assert parse_line('{"é": 1.5}'.encode()) == {"é": 1.5}
    for odd in (b"NaN", b"-Infinity", b"{", b"\xff"):
        with pytest.raises(ValueError, match=r"nan|NaN|Infinity|Expecting|codec"):
            parse_line(odd)


def test_what_is_text():
    assert [is_text(value) for value in ("", "é", "\ud800", 5, None)] == [True, True, False, False, False]
