"""Rows of tables, CSV and TSV. A stray quotation mark costs only its own row.

A cell in quotation marks may span several lines; if a stray mark opened such a cell, the rows in it would be lost. A
mark counts as stray if its cell is not closed, if text follows the closing mark, if the row would not have as many
cells as the header, or if a line within the cell has an image in the column of the URI. Then the line with the mark
is a bad row, and the lines after it are read separately.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from beam_job.listing.list_file import ROW_BYTES, Line
from beam_job.messages.quoting import quoted

_CELL_LINES = 1000  # of one cell
# Lines that may be read in vain, behind stray marks: so many, and so many more for each line of the table. Without that
# a table of nothing but such marks would be read a thousand times.
_VAIN_LINES, _VAIN_LINES_EACH = 10_000, 10
_INSIDE = re.compile(r'(?:[^"]++|"")*+')
_IMAGE_NAME = re.compile(r"\.(jpe?g|png|gif|webp|bmp|tiff?|heic|avif|jp2)$", re.IGNORECASE)
_ROOT = re.compile(r"\w+://[^/]*/|/?[^/]+/")  # the scheme and the host, or the first folder
_SUFFIX = re.compile(r"\.\w{2,5}$")
_DIGITS = re.compile(r"\d+")
_DIGEST = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])\S+")  # letters and digits in it, and no space


class Record(NamedTuple):
    """A row: the number of its first line, from 1, and its cells in the wanted columns; ``None`` for missing cells."""

    line: int
    cells: list[str | None]


class BadRecord(NamedTuple):
    """A line that cannot be read, and the reason.

    ``below`` has the lines below a wrong header with their numbers: none of them can be read.
    """

    line: int
    message: str
    below: Iterator[tuple[int, str | None]] | None = None


class _TableError(ValueError):
    """What is wrong with a row."""


class _Lines:
    """The lines of a table with their numbers; some can be put back."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = enumerate(lines, 1)
        self._back: deque[tuple[int, str | None]] = deque()

    def __iter__(self) -> Iterator[tuple[int, str | None]]:
        return self

    def __next__(self) -> tuple[int, str | None]:
        if self._back:
            return self._back.popleft()
        number, (_, data) = next(self._lines)
        return number, None if data is None else data.decode("utf-8", "surrogateescape")

    def put_back(self, lines: Sequence[tuple[int, str | None]]) -> None:
        self._back.extendleft(reversed(lines))


def records(lines: Iterable[Line], delimiter: str, columns: Sequence[str]) -> Iterator[Record | BadRecord]:
    """Reads a table, whose first line that is not blank is the header. Every other line yields a record.

    Args:
      lines: of the table.
      delimiter: between cells.
      columns: the columns to read; the column of the URI is the first.
    """
    table = _Lines(lines)
    reader = _Reader(table, delimiter)
    indexes: list[int] = []
    for number, text in table:
        if text is not None and not text.strip(" \r\n"):
            continue
        try:
            if text is None:
                raise _TableError(f"the row is longer than {ROW_BYTES:,} bytes.")
            cells = reader.cells(text)
            if not indexes:
                indexes = reader.take_header(cells, columns)
                continue
            yield Record(number, [cells[index] if index < len(cells) else None for index in indexes])
        except _TableError as error:
            if not indexes:
                yield BadRecord(number, str(error), table)
                return
            yield BadRecord(number, str(error))


def named(name: str, columns: Sequence[str]) -> list[int]:
    """Where the columns of that name are; only if none is spelled like this, blanks around names don't matter."""
    exact = [index for index, column in enumerate(columns) if column == name]
    return exact or [index for index, column in enumerate(columns) if column.strip() == name.strip()]


class _Reader:
    """Reads a row that may need further lines; learns from the header and from each row how the next ones look."""

    def __init__(self, lines: _Lines, delimiter: str) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._closed = re.compile(rf" *(?:{re.escape(delimiter)}|(?=[\r\n])|$)")
        self._width = 0  # of the header in cells; 0 while it is read
        self._uri = 0  # the index of its column
        self._last_uri = ""
        self._vain_lines = _VAIN_LINES

    def take_header(self, header: list[str], columns: Sequence[str]) -> list[int]:
        """The indexes of the columns; raises ``_TableError`` if one is missing."""
        indexes: list[int] = []
        for name in columns:
            found = named(name, header)
            if len(found) != 1:
                what = "are several columns" if found else "is no column"
                raise _TableError(
                    f"there {what} {quoted(name)}; the columns are {quoted(header)}. "
                    "See --uri_field, --version_field and --carry."
                )
            indexes += found
        self._width, self._uri = len(header), indexes[0]
        return indexes

    def cells(self, text: str) -> list[str]:
        """The cells of the row that begins with the line ``text``; raises ``_TableError``."""
        self._taken: list[tuple[int, str | None]] = []
        self._taken_size = len(text)
        self._vain_lines += _VAIN_LINES_EACH
        try:
            cells = self._parse(text) if '"' in text else text.rstrip("\r\n").split(self._delimiter)
            self._check_width(cells)
        except _TableError:
            self._vain_lines -= len(self._taken)
            self._lines.put_back(self._taken)
            raise
        if self._uri < len(cells):
            self._last_uri = cells[self._uri]
        return cells

    def _check_width(self, cells: list[str]) -> None:
        if not self._width or len(cells) == self._width:
            return
        if self._taken:
            raise _stray(self._opened, "its row would not have as many cells as the header")
        if len(cells) > self._width:
            raise _TableError(
                f"it has more cells than the header, which has {self._width}; put cells that contain the delimiter "
                "in quotation marks."
            )

    def _parse(self, text: str) -> list[str]:
        cells: list[str] = []
        position = 0
        while len(cells) <= self._width or not self._width:
            if not text.startswith('"', position):
                end = text.find(self._delimiter, position)
                if end < 0:
                    return [*cells, text[position:].rstrip("\r\n")]
                cells.append(text[position:end])
                position = end + 1
                continue
            text, position = self._quoted(cells, text, position + 1)
            closed = self._closed.match(text, position)
            if closed is None:
                raise _stray(len(cells), f"{quoted(text[position:][:10])} follows the one that closes it")
            position = closed.end()
            if not closed[0].endswith(self._delimiter):
                return cells
        return cells

    def _quoted(self, cells: list[str], text: str, position: int) -> tuple[str, int]:
        """Adds the cell that a quotation mark before ``position`` opens; returns the line and where its rest begins."""
        parts: list[str] = []
        before = len(cells)  # cells of the row before this part of the line
        while True:
            inside = _INSIDE.match(text, position)
            assert inside is not None
            closes = inside.end() < len(text)
            if (parts or not closes) and self._is_row(inside[0], cells, before):
                raise _stray(len(cells) + 1, "one of its lines looks like a row of its own")
            parts.append(inside[0])
            if closes:
                cells.append("".join(parts).replace('""', '"'))
                return text, inside.end() + 1
            self._opened = len(cells) + 1
            text, position, before = self._next_line(), 0, 0

    def _next_line(self) -> str:
        upcoming = next(self._lines, None)
        if upcoming is None:
            raise _stray(self._opened, "the file ends")
        self._taken.append(upcoming)
        text = upcoming[1]
        self._taken_size += len(text or "")
        if text is None or self._taken_size > ROW_BYTES or len(self._taken) > min(_CELL_LINES, self._vain_lines):
            raise _stray(self._opened, f"it is still open in line {upcoming[0]}")
        return text

    def _is_row(self, text: str, cells: list[str], before: int) -> bool:
        """Whether part of a cell names an image where rows do, behind so many cells: then a row was swallowed."""
        parts = [part.strip(' "\r\n') for part in text.split(self._delimiter)]
        if not self._width:
            return any(map(_IMAGE_NAME.search, parts))
        known = cells[self._uri] if self._uri < len(cells) else self._last_uri
        indexes = {self._uri - before, self._uri - self._width + max(len(parts), self._width)}
        return any(0 <= index < len(parts) and _alike(parts[index], known) for index in indexes)


def _stray(cell: int, reason: str) -> _TableError:
    return _TableError(f"the quotation mark that opens cell {cell} is not closed properly: {reason}.")


def _alike(cell: str, uri: str) -> bool:
    """Whether a cell looks like an image's URI, as ``uri`` is one."""
    if not cell or _IMAGE_NAME.search(cell):
        return bool(cell)
    if _DIGITS.sub("0", cell) == _DIGITS.sub("0", uri):
        return True
    if len(cell) == len(uri) and _DIGEST.fullmatch(cell) and _DIGEST.fullmatch(uri):
        return True
    pairs = ((_ROOT.match(cell), _ROOT.match(uri)), (_SUFFIX.search(cell), _SUFFIX.search(uri)))
    return any(one and other and one[0].lower() == other[0].lower() for one, other in pairs)
