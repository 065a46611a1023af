"""Files that contain lists of URIs: their formats, the pieces that workers read, and their lines in bounded memory."""

import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import Any, NamedTuple

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam_job.listing.decompression import DamagedError, unpacked

ROW_BYTES = 1 << 20
"""Longer rows are bad rows: a list needs no more memory than that, whatever it holds."""

DELIMITERS = {"csv": ",", "tsv": "\t"}

_KINDS = {"csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl"}
_PIECE_BYTES = 64 << 20
_READ_BYTES = 64 << 10
_HEAD_BYTES = 512
_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")  # the last one is UTF-32's
_UTF8_HINT = "save it as UTF-8 (`iconv -f UTF-16 -t UTF-8`; in PowerShell `Out-File -Encoding utf8`)"
_PACKED = "unpack it, or rename it so that its name ends with"
_IMAGE = "an image: name images with --images"
# How files begin that are no lists. Letters and digits alone may begin a URI, too: they count where no text follows.
_OTHER_FILES = {
    b"\x1f\x8b": f"compressed by gzip: {_PACKED} .gz",
    b"BZh": f"compressed by bzip2: {_PACKED} .bz2",
    b"\xfd7zXZ\0": f"compressed by xz: {_PACKED} .xz",
    b"\x28\xb5\x2f\xfd": f"compressed by Zstandard: {_PACKED} .zst",
    b"PK\x03\x04": "a ZIP archive or a workbook (.xlsx, .ods): export it as CSV",
    b"\xd0\xcf\x11\xe0": "an Office document (.xls): export it as CSV",
    b"PAR1": "a Parquet file: export it as CSV or JSON lines",
    b"ORC": "an ORC file: export it as CSV or JSON lines",
    b"Obj\x01": "an Avro file: export it as CSV or JSON lines",
    b"ARROW1": "an Arrow file: export it as CSV or JSON lines",
    b"SQLite format 3\0": "an SQLite database: export it as CSV",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"%PDF-": "a PDF",
    b"\xff\xd8\xff": _IMAGE,
    b"\x89PNG": _IMAGE,
    b"GIF8": _IMAGE,
    b"RIFF": _IMAGE,
    b"II*\0": _IMAGE,
    b"MM\0*": _IMAGE,
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<?xml": "an XML document",
    b"version https://git-lfs.": "a Git LFS pointer: fetch the list itself with `git lfs pull`",
}
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1f\x7f]")


class ListError(ValueError):
    """A file that is not a list, or an incomplete list; the message is a sentence that names the file."""


class Piece(NamedTuple):
    """Part of a list file: the rows that begin at byte ``start`` or later, and before byte ``stop``.

    ``name`` is the list's name in messages if that is not its path: ``-`` for standard input.
    """

    path: str
    start: int = 0
    stop: int | None = None
    name: str | None = None

    @property
    def shown(self) -> str:
        return self.name or self.path


class Line(NamedTuple):
    """A line with its line end, ``data``, and its byte offset in the (decompressed) file.

    ``data`` is ``None`` for a line longer than ``ROW_BYTES``.
    """

    position: int
    data: bytes | None


def kind(path: str) -> str:
    """``csv``, ``tsv``, ``jsonl`` or ``text``, by the file's suffix; the suffix of a compression may follow it."""
    packed = _compression(path) != CompressionTypes.UNCOMPRESSED
    suffix = (path.rpartition(".")[0] if packed else path).rpartition(".")[2].lower()
    return _KINDS.get(suffix, "text")


def pieces(path: str, size: int, piece_bytes: int = _PIECE_BYTES, name: str | None = None) -> Iterator[Piece]:
    """Splits a list file of ``size`` bytes so that several workers can read it.

    Compressed files are not split, and neither are tables, whose rows may span several lines.
    """
    if _compression(path) != CompressionTypes.UNCOMPRESSED or kind(path) in DELIMITERS:
        yield Piece(path, name=name)
        return
    for start in range(0, size, piece_bytes):
        yield Piece(path, start, start + piece_bytes, name)


def lines(piece: Piece) -> Iterator[Line]:
    r"""The lines that begin within the piece; they end with ``\n``, ``\r\n`` or ``\r``.

    Raises:
      ListError: the file is compressed and truncated or damaged, or its first bytes are not text.
    """
    with closing(FileSystems.open(piece.path, compression_type=CompressionTypes.UNCOMPRESSED)) as file:
        # The line that holds the byte before this piece began before it, and is not its own.
        before = max(piece.start - 1, 0)
        if before:
            file.seek(before)
        found = _split(_content(file, piece), before, piece.stop)
        if piece.start > 0:
            next(found, None)
        for position, data in found:
            if piece.stop is not None and position >= piece.stop:
                return
            yield Line(position, data.removeprefix(_BOM) if data and not position else data)


def _content(file: Any, piece: Piece) -> Iterator[bytes]:
    """The file's unpacked bytes, from where it stands on."""
    content = iter(lambda: file.read(_READ_BYTES), b"")
    compression = _compression(piece.path)
    if compression != CompressionTypes.UNCOMPRESSED:
        content = _unpacked(content, compression, piece)
    if piece.start == 0:
        head = b""
        for chunk in content:
            head += chunk
            if len(head) >= _HEAD_BYTES:
                break
        _check_text(head[:_HEAD_BYTES], piece)
        content = chain([head], content)
    return content


def _unpacked(content: Iterator[bytes], compression: str, piece: Piece) -> Iterator[bytes]:
    try:
        yield from unpacked(content, compression)
    except DamagedError as error:
        raise ListError(f"The list {piece.shown} {error}.") from error


def _check_text(head: bytes, piece: Piece) -> None:
    """Raises ``ListError`` where the first bytes of a file are not those of text in UTF-8."""
    start = head.removeprefix(_BOM).lstrip().lower()
    for magic, other in _OTHER_FILES.items():
        if start.startswith(magic.lower()) and (_CONTROLS.search(head) or not magic.isalnum()):
            raise ListError(f"The list {piece.shown} is {other}.")
    if head[257:262] == b"ustar":
        raise ListError(f"The list {piece.shown} is a tar archive: unpack it.")
    # ASCII in UTF-16 is half zeros, in UTF-32 three quarters.
    if head.startswith(_UTF16_BOMS) or 0.3 < head.count(0) / max(len(head), 1) < 0.9:
        raise ListError(f"The list {piece.shown} is text in UTF-16 or UTF-32: {_UTF8_HINT}.")


def _split(chunks: Iterable[bytes], position: int, stop: int | None) -> Iterator[Line]:
    """Lines of the chunks, which begin at ``position``; a line that is too long is not read beyond ``stop``."""
    rest = b""
    too_long = False
    for chunk in chunks:
        found = (rest + chunk).splitlines(keepends=True)
        # What ends with \r may go on with \n.
        rest = found.pop() if found and not found[-1].endswith(b"\n") else b""
        for line in found:
            if not too_long:
                yield Line(position, line if len(line) <= ROW_BYTES else None)
            too_long = False
            position += len(line)
        if len(rest) > ROW_BYTES and not too_long:
            yield Line(position, None)
            too_long = True
        if too_long:
            kept = b"\r" if rest.endswith(b"\r") else b""
            position += len(rest) - len(kept)
            rest = kept
            if stop is not None and position >= stop:
                return
    if rest and not too_long:
        yield Line(position, rest)


def _compression(path: str) -> str:
    """How the file is compressed, by its suffix: ``.gz``, ``.bz2``, ``.zst``, ..."""
    return str(CompressionTypes.detect_compression_type(path))
