"""Lists of image URIs: text, CSV, TSV and JSON lines, plain or compressed, read row by row.

for row in rows(Piece("list.csv"), Fields("url", carry=("album",))):
    row.uri, row.carried      # ("gs://bucket/cat.jpg", {"album": "pets"}); a BadRow where there is no URI
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from beam_job.listing.list_file import DELIMITERS, ROW_BYTES, Piece, kind, lines
from beam_job.listing.tables import BadRecord, named, records
from beam_job.messages.quoting import quoted

ERRORS = {"bad_row": "A row of a list has no URI, or cannot be read."}
"""Every code that a ``BadRow`` can have, and what it means."""

_BOM = "\ufeff"
_BLANKS = " \t\r\n\v\f"  # others can belong to a name
_VERSION = re.compile("[ -~]{1,200}")
_DEPTH = 100  # of carried fields; Beam cannot pass on what is nested much deeper


@dataclass(frozen=True)
class Fields:
    """The columns (CSV, TSV) or fields (JSON lines) to read.

    Attributes:
      uri: the column with the URI.
      carry: columns to copy to the image's record; null if a row lacks one.
      version: the column with the image's version; ``None`` if there is none.
    """

    uri: str = "uri"
    carry: Sequence[str] = ()
    version: str | None = None


class Row(NamedTuple):
    """An image's URI; ``carried`` has further fields by name, or is ``None`` if none were requested.

    ``version`` is the version of the image, if the row has one.
    """

    uri: str
    carried: dict[str, Any] | None
    version: str | None = None


class BadRow(NamedTuple):
    """A row without a URI: its position, ``<path>#<byte, or line of a table>``, and what is wrong with it."""

    place: str
    message: str


def rows(piece: Piece, fields: Fields) -> Iterator[Row | BadRow]:
    """Reads the rows of a piece, one at a time.

    Blank lines are skipped, and so are records of a failures file that name no image.

    Raises:
      ListError: the file is not a list, or an incomplete one.
    """
    found = kind(piece.path)
    if found in DELIMITERS:
        yield from _table(piece, DELIMITERS[found], fields)
        return
    parse = _json_row if found == "jsonl" else _text_row
    for position, line in lines(piece):
        try:
            if line is None:
                raise ValueError(f"the row is longer than {ROW_BYTES:,} bytes.")
            text = line.decode("utf-8").strip(_BLANKS).removeprefix(_BOM)
            read = parse(text, fields) if text else None
            if read is not None:
                yield _checked(*read)
        except (ValueError, RecursionError) as error:
            yield BadRow(f"{piece.shown}#{position}", f"At byte {position}: {_one_line(error)}")


def _text_row(text: str, fields: Fields) -> tuple[str, dict[str, Any] | None, object]:
    if "\0" in text:
        raise ValueError("the row contains a zero byte; rows are separated by line ends (`find` without -print0).")
    if text in ("[", "]", "{", "}") or text.startswith(('{"', '["', "[{")):
        raise ValueError("this is JSON; a list with one JSON object per line must have a name that ends with .jsonl.")
    return text, dict.fromkeys(fields.carry) if fields.carry else None, None


def _json_row(text: str, fields: Fields) -> tuple[str, dict[str, Any] | None, object] | None:
    if text.startswith("["):
        raise ValueError("this is a JSON array; a list has one object per line (`jq -c '.[]' list.json > list.jsonl`).")
    row = json.loads(text)
    if not isinstance(row, dict):
        raise ValueError("this is not a JSON object.")
    if row.get("stage") == "list" and row.get("error") in (
        "bad_row",
        "cannot_list",
    ):  # no image was named there, either
        return None
    uri = _field(row, fields.uri)
    if not isinstance(uri, str):
        raise ValueError(
            f"it has no text in the field {quoted(fields.uri)}; its fields are {quoted(list(row))}. See --uri_field."
        )
    return uri, _carried(row, fields), _field(row, fields.version) if fields.version else None


def _field(row: Mapping[str, Any], name: str) -> Any:
    """The field of that name, as a table's column is found; ``None`` if there is none."""
    if name in row:
        return row[name]
    names = list(row)
    found = named(name, names)
    if len(found) > 1:
        raise ValueError(f"there are several fields {quoted(name)}; the fields are {quoted(names)}.")
    return row[names[found[0]]] if found else None


def lacks_version(piece: Piece, fields: Fields) -> str | None:
    """What is wrong with JSON lines of which no row has the field of the version, not even empty; ``None`` if one has.

    A row without it is fine, as many programs leave out what is null.
    """
    first: list[str] | None = None
    for _, line in lines(piece):
        try:
            row = json.loads(line or b"null")
        except (ValueError, RecursionError):  # a bad row, as the run will say
            continue
        if isinstance(row, dict):
            if named(fields.version or "", list(row)):
                return None
            first = list(row) if first is None else first
    return (
        f"none of its first rows has the field {quoted(fields.version)}; the fields of the first are {quoted(first)}. "
        "See --version_field."
    )


def _table(piece: Piece, delimiter: str, fields: Fields) -> Iterator[Row | BadRow]:
    versions = (fields.version,) if fields.version else ()
    for record in records(lines(piece), delimiter, (fields.uri, *versions, *fields.carry)):
        try:
            if isinstance(record, BadRecord):
                raise ValueError(record.message)
            uri, *rest = record.cells
            version, carried = (rest[0], rest[1:]) if versions else (None, rest)
            yield _checked(uri or "", dict(zip(fields.carry, carried, strict=True)) if fields.carry else None, version)
        except ValueError as error:
            message = f"At line {record.line}: {_one_line(error)}"
            if isinstance(record, BadRecord) and record.below:
                message += _unread(record.below, piece)
            yield BadRow(f"{piece.shown}#{record.line}", message)


def _unread(below: Iterator[tuple[int, str | None]], piece: Piece) -> str:
    """Says how many rows a wrong header costs; nobody can know where only the beginning of the list is read."""
    if piece.stop is not None:
        return " None of its rows can be read."
    rows = sum(line is None or bool(line.strip()) for _, line in below)
    return f" Rows below it that were not read: {rows:,}."


def _carried(row: Mapping[str, Any], fields: Fields) -> dict[str, Any] | None:
    return {name: _field(row, name) for name in fields.carry} if fields.carry else None


def _checked(uri: str, carried: dict[str, Any] | None, version: object) -> Row:
    if not uri:
        raise ValueError("the URI is empty.")
    check_unicode(uri)
    if carried is not None:
        _check_json(carried)
    return Row(uri, carried, _version(version))


def _version(value: object) -> str | None:
    """A version as text; none where the row leaves it empty."""
    if value is None or value == "":
        return None
    text = str(value)
    known = isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))
    if isinstance(value, bool) or not known or not _VERSION.fullmatch(text):
        raise ValueError(
            f"its version is {quoted(value)}; a version is a finite number, or at most 200 printable ASCII "
            "characters. See --version_field."
        )
    return text


def _check_json(carried: dict[str, Any]) -> None:
    """Raises ``ValueError`` for carried fields that could not be passed on, or written as JSON."""
    if _is_deep(carried, _DEPTH):
        raise ValueError(f"a carried field is nested more than {_DEPTH} deep.")
    try:
        json.dumps(carried, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("a carried field is not valid Unicode.") from error
    except ValueError as error:
        raise ValueError("a carried field holds NaN or Infinity, which JSON does not have.") from error


def _is_deep(value: Any, depth: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return depth < 0 or any(_is_deep(member, depth - 1) for member in inside)


def check_unicode(uri: str) -> None:
    """Raises ``ValueError`` for a URI that cannot be encoded as UTF-8, and so neither be shuffled nor recorded."""
    try:
        uri.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("the URI is not valid Unicode.") from error


def _one_line(error: Exception) -> str:
    """What is wrong; the text of others' errors would repeat the row."""
    if isinstance(error, UnicodeDecodeError):
        return "this is not text in UTF-8."
    if isinstance(error, json.JSONDecodeError):
        return f"this is not valid JSON ({error.msg}); each row is one object on one line."
    if isinstance(error, RecursionError):
        return "this JSON is nested too deeply."
    if "int_max_str_digits" in str(error):  # as Python says it of JSON
        return "a number in it has thousands of digits."
    return str(error)
