"""Reads a file of records, line by line: everything that the job would not write is passed over, and named."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import UnreadableError, open_file, parse_line
from beam_job.runs.folder import CAPTIONS, FAILURES, PRUNED, open_run_folder

_LINE_BYTES = 4 << 20  # of a record: a hundred captions with their attention are shorter
_CHUNK_BYTES = 1 << 20


class ReplacedError(OSError):
    """A file of records is no longer there: since it was looked up, a prune or the end of its run replaced it."""


class RecordFile:
    """A file of records, one JSON object per line: iterating yields those that ``is_record`` accepts.

    Attributes:
      lines: number of lines read.
      place: position of the current line in the file: its first byte, and its length in bytes.
      passed_over: number of lines without a record.
      problem: a sentence if lines were ignored; otherwise empty.
      unread: why the file could not be read; otherwise empty.

    Args:
      path: the file.
      is_record: distinguishes records from other objects.
      seen: called with all bytes of the file, piece by piece.
    """

    def __init__(
        self,
        path: str,
        is_record: Callable[[dict[str, Any]], bool],
        seen: Callable[[bytes], None] | None = None,
    ) -> None:
        self.path = path
        self._is_record = is_record
        self._seen = seen
        self.place = (0, 0)
        self.lines = self.passed_over = 0
        self.problem = self.unread = ""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        first = 0
        try:
            for offset, line in record_lines(self.path, self._seen):
                self.lines += 1
                self.place = (offset, len(line or b""))
                record = self._record(line)
                if record is not None:
                    yield record
                    continue
                self.passed_over += 1
                first = first or self.lines
        except UnreadableError as error:
            self.unread = str(error)
            self.problem = f"it {error}."
            self.passed_over += 1
            return
        if self.passed_over:
            self.problem = f"{self.passed_over} of {self.lines} lines contain no record; line {first} is the first."

    def _record(self, line: bytes | None) -> dict[str, Any] | None:
        try:
            record = parse_line(line) if line is not None else None
        except (ValueError, RecursionError):
            return None
        return record if isinstance(record, dict) and self._is_record(record) else None


def is_caption(record: Mapping[str, Any]) -> bool:
    """Whether a record names an image and has a caption."""
    return isinstance(record.get("uri"), str) and isinstance(record.get("caption"), str)


def is_failure(record: Mapping[str, Any]) -> bool:
    """Whether a record names an image and the code of its failure."""
    return all(isinstance(record.get(name), str) for name in ("uri", "stage", "error"))


def record_lines(path: str, seen: Callable[[bytes], None] | None = None) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a file without their ends, each with its place; ``None`` for one that is too long.

    Raises:
      UnreadableError: there is no such file, or none that can be read.
      ReplacedError: another file has taken its place.
    """
    try:
        file = open_file(path)
    except FileNotFoundError as error:
        if cause := _replaced_by(path):
            raise ReplacedError(f"{path} {cause} while it was read; start again.") from error
        raise UnreadableError("is gone") from error
    with closing(file):
        rest, too_long, place = b"", False, 0
        while chunk := file.read(_CHUNK_BYTES):
            if seen is not None:
                seen(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield place, None if too_long or len(line) > _LINE_BYTES else line
                place += len(line) + 1
                too_long = False
            if len(rest) > _LINE_BYTES:
                place += len(rest)
                rest, too_long = b"", True
        if rest or too_long:
            yield place, None if too_long else rest


def _replaced_by(path: str) -> str:
    """What has happened to a file, if its run names other files by now; else nothing."""
    directory, name = FileSystems.split(path)
    try:
        run = open_run_folder(directory, linked=True)
    except UnreadableError:
        return ""
    if CAPTIONS not in run.about:
        return ""
    if any(name == FileSystems.split(other)[1] for kind in (CAPTIONS, FAILURES) for other in run.files(kind)):
        return ""
    return "was pruned" if PRUNED in run.about else "was replaced at the end of its run"
