"""Rows of CSV for spreadsheets, as in RFC 4180. No cell is run as a formula."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from beam_job.export.tables.rows import COLUMNS, row

BOM = "\ufeff"
"""What a file starts with: without it, Excel takes UTF-8 for the system's own encoding."""

# Spreadsheets skip blanks and quotation marks before a formula; some take the wide characters of East Asian keyboards.
_FORMULA = re.compile("[\\s\x00-\x20\ufeff\u200b\"']*[=+@\uff0b\uff0d\uff1d\uff20-]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?", re.ASCII)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def header(carried: Sequence[str]) -> bytes:
    """The first line, with the byte order mark."""
    return BOM.encode() + _line([safe(name) for name in (*COLUMNS, *carried)])


def line(record: Mapping[str, Any], carried: Sequence[str]) -> bytes:
    """A record's line, with its line end."""
    cells = row(record, carried)
    return _line([safe(cell) if isinstance(cell := cells[name], str) else cell for name in (*COLUMNS, *carried)])


def safe(text: str) -> str:
    """Text that a spreadsheet shows without computing it: an apostrophe precedes anything that looks like a formula.

    Plain numbers are unchanged. Control characters, which CSV cannot contain, are replaced.
    """
    text = _CONTROL.sub("\ufffd", text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _line(cells: Iterable[Any]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").writerow(
        ["" if cell is None else cell for cell in cells]
    )
    return out.getvalue().encode("utf-8", "backslashreplace")
