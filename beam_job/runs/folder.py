"""A run's folder, read back: what the run says of itself, and its records.

Whoever may write into the output folder can put anything there. So nothing outside a run's own folder is read, and
whatever is not as the job writes it is named and passed over.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import UnreadableError, is_number, is_text, open_file, parse_line, read_document
from beam_job.files.in_folder import files_in
from beam_job.messages.quantity import quantity
from beam_job.messages.quoting import quoted
from beam_job.model.decoding import Decoding
from beam_job.runs.run import MANIFEST, STARTED
from beam_job.runs.shards import run_id

CAPTIONS, FAILURES = "captions", "failures"

_LINE_BYTES = 4 << 20  # of a record: a hundred captions with their attention are shorter
_CHUNK_BYTES = 1 << 20
_COUNTS = ("input", "captioned", "failed", "skipped", "duplicates")
_DEPTH = 16  # of options within options
_TEXT = 1000  # characters of a name, a time, a fingerprint


@dataclass
class RunFolder:
    """One run, on any file system that Beam reads.

    Attributes:
      directory: the run's own folder.
      about: its manifest, or what it wrote at its start where it has not ended; the types of what it holds are checked.
      finished: whether there is a manifest that can be read.
      problems: sentences about what is not as the job writes it; filled while records are read.
    """

    directory: str
    about: Mapping[str, Any]
    finished: bool
    problems: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        """By its name: that is how the records of the run say it, too."""
        return run_id(self.directory)

    @property
    def settings(self) -> tuple[str, dict[str, Any]]:
        """The model's fingerprint, and how it decoded: runs with the same ones caption alike."""
        # An option that is younger than the run had no effect on it: its default.
        return self.about["model"], {**asdict(Decoding()), **self.about["options"].get("decoding", {})}

    def files(self, kind: str) -> dict[str, Mapping[str, Any]]:
        """The run's files of ``kind``, ``CAPTIONS`` or ``FAILURES``: paths, and what the manifest says of each.

        A finished run's files are those that its manifest names: others were left by attempts that were made again.
        """
        named = re.compile(rf"{kind}-[\w-]+\.jsonl", re.ASCII)
        if not self.finished:
            names = (FileSystems.split(path)[1] for path in files_in(self.directory, f"{kind}-*.jsonl"))
            return {FileSystems.join(self.directory, name): {} for name in names if named.fullmatch(name)}
        found, odd = {}, []
        for entry in self.about[kind]:
            name = entry.get("name") if isinstance(entry, dict) else None
            if isinstance(name, str) and named.fullmatch(name):
                found[FileSystems.join(self.directory, name)] = entry
            else:
                odd.append(name)
        if odd:
            files = quantity(len(odd), "file")
            self.problems.append(f"{MANIFEST} names {files} that no run writes, such as {quoted(odd[0])}.")
        return found


class RecordFile:
    """A file of records, one JSON object a line: iterating yields those that ``is_record`` accepts.

    Attributes:
      lines: those that were read.
      place: where the line at hand stands in the file: its first byte, and its length in bytes.
      passed_over: those that hold no record.
      problem: a sentence where something was passed over; else empty.

    Args:
      path: the file.
      is_record: tells records from other objects.
      seen: called with all bytes of the file, piece by piece.
      parse: a line to what it holds, or ``ValueError``.
    """

    def __init__(
        self,
        path: str,
        is_record: Callable[[dict[str, Any]], bool],
        seen: Callable[[bytes], None] | None = None,
        parse: Callable[[bytes], Any] | None = None,
    ) -> None:
        self.path = path
        self._is_record = is_record
        self._seen = seen
        self._parse = parse or parse_line
        self.place = (0, 0)
        self.lines = self.passed_over = 0
        self.problem = ""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        first = 0
        try:
            for offset, line in _lines(self.path, self._seen):
                self.lines += 1
                self.place = (offset, len(line or b""))
                record = self._record(line)
                if record is not None:
                    yield record
                    continue
                self.passed_over += 1
                first = first or self.lines
        except UnreadableError as error:
            self.problem = f"it {error}."
            self.passed_over += 1
            return
        if self.passed_over:
            self.problem = f"{self.passed_over} of {self.lines} lines hold no record; line {first} is the first."

    def _record(self, line: bytes | None) -> dict[str, Any] | None:
        try:
            record = self._parse(line) if line is not None else None
        except (ValueError, RecursionError):
            return None
        return record if isinstance(record, dict) and self._is_record(record) else None


def is_caption(record: Mapping[str, Any]) -> bool:
    """Whether a record says which image it captions, and has a caption."""
    return isinstance(record.get("uri"), str) and isinstance(record.get("caption"), str)


def is_failure(record: Mapping[str, Any]) -> bool:
    """Whether a record says which image failed, and how."""
    return all(isinstance(record.get(name), str) for name in ("uri", "stage", "error"))


def run_folders(output: str) -> list[str]:
    """The folders of runs in ``output``, oldest first: a run's name starts with the time of its start."""
    found = {FileSystems.split(path)[0] for path in files_in(output, "run=*", "*.json")}
    return sorted(folder for folder in found if is_text(folder))


def open_run_folder(directory: str) -> RunFolder:
    """Reads what a run says of itself: its manifest, else what it wrote at its start.

    Raises:
      UnreadableError: neither is there, or neither is as the job writes it.
    """
    problems: list[str] = []
    for name in (MANIFEST, STARTED):
        try:
            about = read_document(FileSystems.join(directory, name))
            if about is not None:
                return RunFolder(directory, _checked(about, finished=name == MANIFEST), name == MANIFEST, problems)
        except UnreadableError as error:
            problems.append(f"{name} {error}.")
    raise UnreadableError(" ".join(problems) or f"there is neither {MANIFEST} nor {STARTED}.")


def _checked(about: Mapping[str, Any], *, finished: bool) -> dict[str, Any]:
    """What a run says of itself, without what has another type than the job gives it; raises ``UnreadableError``."""
    found = {name: about[name] for name in ("started", "finished") if _is_short(about.get(name))}
    for name in ("id", "model"):
        if not _is_short(about.get(name)):
            raise UnreadableError(f"is no run's: it has no {name}")
        found[name] = about[name]
    found["options"] = about.get("options")
    if not isinstance(found["options"], dict) or not isinstance(found["options"].get("decoding", {}), dict):
        raise UnreadableError("is no run's: it has no options")
    if not finished:
        return found
    for name in (CAPTIONS, FAILURES):
        if not isinstance(about.get(name), list):
            raise UnreadableError(f"is no run's: it names no files of {name}")
        found[name] = about[name]
    counts = about.get("counts")
    if not isinstance(counts, dict) or not all(_is_count(count) for count in counts.values()):
        raise UnreadableError("is no run's: its counts are no numbers")
    found["counts"] = {name: counts[name] for name in _COUNTS if name in counts}
    if is_number(about.get("seconds")):
        found["seconds"] = about["seconds"]
    if isinstance(about.get("devices"), list):
        found["devices"] = [device for device in about["devices"][:_DEPTH] if _is_short(device)]
    if isinstance(about.get("versions"), dict):
        found["versions"] = {name: version for name, version in about["versions"].items() if _is_short(version)}
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and is_number(value) and value >= 0


def _is_short(value: object) -> bool:
    return is_text(value) and len(str(value)) <= _TEXT


def _lines(path: str, seen: Callable[[bytes], None] | None) -> Iterator[tuple[int, bytes | None]]:
    """The lines of a file without their ends, each with its place; ``None`` for one that is too long."""
    try:
        file = open_file(path)
    except FileNotFoundError as error:
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
