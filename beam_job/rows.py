"""Lists of image URIs: text, CSV, TSV and JSON lines, plain or compressed, read row by row.

for row in rows(Piece("list.csv"), Fields("url", carry=("album",))):
    row.uri, row.carried      # ("gs://bucket/cat.jpg", {"album": "pets"}); a BadRow where there is no URI
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

ERRORS = {"bad_row": "A row of a list that holds no URI, or cannot be read."}
"""Every code that a ``BadRow`` can have, and what it means."""

_PIECE_BYTES = 64 << 20
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_BOM = "\ufeff"


@dataclass(frozen=True)
class Fields:
    """Which columns (CSV, TSV) or fields (JSON lines) are read.

    Attributes:
      uri: holds the URI.
      carry: are passed on to the image's record; null where a row lacks one.
    """

    uri: str = "uri"
    carry: Sequence[str] = ()


class Piece(NamedTuple):
    """Part of a list file: the rows that begin from byte ``start`` on, and before byte ``stop``."""

    path: str
    start: int = 0
    stop: int | None = None


class Row(NamedTuple):
    """An image's URI; ``carried`` holds further fields by name, ``None`` where none were asked for."""

    uri: str
    carried: dict[str, Any] | None


class BadRow(NamedTuple):
    """A row without a URI: where it stands, ``<path>#<byte, or line of a table>``, and what is wrong with it."""

    place: str
    message: str


def kind(path: str) -> str:
    """``csv``, ``tsv``, ``jsonl`` or ``text``, by the file's suffix; that of a compression may follow it."""
    suffix = (path.rpartition(".")[0] if _compressed(path) else path).rpartition(".")[2].lower()
    return {"csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "ndjson": "jsonl"}.get(suffix, "text")


def pieces(path: str, size: int, piece_bytes: int = _PIECE_BYTES) -> Iterator[Piece]:
    """Splits a list file of ``size`` bytes, so that several workers can read it.

    A compressed file stays whole, and so does a table, in which a row may reach over several lines.
    """
    if _compressed(path) or kind(path) in _DELIMITERS:
        yield Piece(path)
        return
    for start in range(0, size, piece_bytes):
        yield Piece(path, start, start + piece_bytes)


def _compressed(path: str) -> bool:
    """Whether Beam unpacks the file while it reads it: by its suffix, ``.gz``, ``.bz2``, ``.zst``, ..."""
    return CompressionTypes.detect_compression_type(path) != CompressionTypes.UNCOMPRESSED


def rows(piece: Piece, fields: Fields) -> Iterator[Row | BadRow]:
    """Reads the rows of a piece, one at a time.

    Blank lines are passed over, and so are the records of a failures file that name no image.
    """
    with closing(FileSystems.open(piece.path)) as file:
        found = kind(piece.path)
        if found in _DELIMITERS:
            yield from _table(piece.path, file, _DELIMITERS[found], fields)
            return
        parse = _json_row if found == "jsonl" else _text_row
        for position, line in _lines(piece, file):
            try:
                text = line.decode("utf-8").strip().removeprefix(_BOM)
                read = parse(text, fields) if text else None
                if read is not None:
                    yield _checked(*read)
            except (ValueError, RecursionError) as error:
                yield BadRow(f"{piece.path}#{position}", f"At byte {position}: {_one_line(error)}")


def _lines(piece: Piece, file: Any) -> Iterator[tuple[int, bytes]]:
    """The lines that begin within the piece, with their places in the file."""
    position = piece.start
    if position > 0:  # the line that the piece before began is its own
        file.seek(position - 1)
        position += len(file.readline()) - 1
    while piece.stop is None or position < piece.stop:
        line = file.readline()
        if not line:
            return
        yield position, line
        position += len(line)


def _text_row(text: str, fields: Fields) -> tuple[str, dict[str, Any] | None]:
    return text, dict.fromkeys(fields.carry) if fields.carry else None


def _json_row(text: str, fields: Fields) -> tuple[str, dict[str, Any] | None] | None:
    row = json.loads(text)
    if not isinstance(row, dict):
        raise ValueError("this is no JSON object.")
    if row.get("stage") == "list" and row.get("error") in list(ERRORS):  # what an earlier run could not read, either
        return None
    if not isinstance(row.get(fields.uri), str):
        raise ValueError(f"there is no text in a field {fields.uri!r}; its fields are {list(row)}. See --uri_field.")
    return row[fields.uri], _carried(row, fields)


def _table(path: str, file: Any, delimiter: str, fields: Fields) -> Iterator[Row | BadRow]:
    text = (line.decode("utf-8", "surrogateescape") for line in iter(file.readline, b""))
    reader = csv.reader(text, delimiter=delimiter)
    header: list[str] | None = None
    while True:
        try:
            cells = next(reader)
            if not cells:
                continue
            if header is None:
                header = [cells[0].removeprefix(_BOM), *cells[1:]]
                continue
            missing = [name for name in (fields.uri, *fields.carry) if name not in header]
            if missing:
                raise ValueError(
                    f"there is no column {missing[0]!r}; the columns are {header}. See --uri_field and --carry."
                )
            row = dict(zip(header, cells, strict=False))
            yield _checked(row.get(fields.uri, ""), _carried(row, fields))
        except StopIteration:
            return
        except (ValueError, csv.Error) as error:
            yield BadRow(f"{path}#{reader.line_num}", f"At line {reader.line_num}: {_one_line(error)}")


def _carried(row: Mapping[str, Any], fields: Fields) -> dict[str, Any] | None:
    return {name: row.get(name) for name in fields.carry} if fields.carry else None


def _checked(uri: str, carried: dict[str, Any] | None) -> Row:
    if not uri:
        raise ValueError("the URI is empty.")
    check_unicode(uri)
    if carried is not None:
        _check_json(carried)
    return Row(uri, carried)


def _check_json(carried: dict[str, Any]) -> None:
    """Raises ``ValueError`` for carried fields that could not be written as JSON."""
    try:
        json.dumps(carried, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("a carried field is not valid Unicode.") from error
    except ValueError as error:
        raise ValueError("a carried field holds NaN or Infinity, which JSON does not have.") from error


def check_unicode(uri: str) -> None:
    """Raises ``ValueError`` for a URI that cannot be written as UTF-8: it could be neither shuffled nor recorded."""
    try:
        uri.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("the URI is not valid Unicode.") from error


def _one_line(error: Exception) -> str:
    """What is wrong; a decoding error's own text would repeat the row."""
    if isinstance(error, UnicodeDecodeError):
        return "this is not text in UTF-8."
    if isinstance(error, json.JSONDecodeError):
        return f"this is not valid JSON ({error.msg})."
    return str(error) if not isinstance(error, RecursionError) else "this JSON is nested too deeply."
