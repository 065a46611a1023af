"""Files of records, and of reviews, without the records of some photos; read a line at a time."""

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import is_text, parse_line
from beam_job.files.whole import open_whole
from beam_job.prune.books import Rewritten
from beam_job.prune.photo_names import PhotoNames
from beam_job.records import KNOWN
from beam_job.runs.folder import CAPTIONS, FAILURES, PRUNED_FILE
from beam_job.runs.record_file import record_lines

LISTING = "list"
"""The stage of failures whose URI is a place in a list, or a folder, and no photo."""

# How the job writes a caption's record. What follows, such as maps of attention, may be a hundred times as long.
_HEAD = re.compile(rb'\{"uri": ("(?:[^"\\]|\\.)*+"), "caption": ("(?:[^"\\]|\\.)*+"), ')


class Row(NamedTuple):
    """A line of a file.

    Attributes:
      line: without its end; ``None`` for one that no reader takes, as it is too long.
      record: what it holds, or, of a caption, its beginning; empty where it names no photo.
    """

    line: bytes | None
    record: Mapping[str, Any]


def rows(path: str, kind: str, seen: Callable[[bytes], None] | None = None) -> Iterator[Row]:
    """The lines of a file of captions, failures or reviews; raises ``UnreadableError``."""
    for _, line in record_lines(path, seen):
        yield Row(line, _record(line, kind) if line is not None else {})


def _record(line: bytes, kind: str) -> Mapping[str, Any]:
    try:
        head = _HEAD.match(line) if kind == CAPTIONS else None
        record = parse_line(line) if head is None else {"uri": json.loads(head[1]), "caption": json.loads(head[2])}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(record, dict) or not is_text(record.get("uri")):
        return {}
    return {} if kind == FAILURES and record.get("stage") == LISTING else record


def rewrite(path: str, kind: str, entry: Mapping[str, Any], unwanted: PhotoNames) -> Rewritten:
    """Writes a file's records without those of some photos to a new file beside it, and says what it holds.

    Lines that hold no record stay as they are. Memory: one line.

    Raises:
      UnreadableError: the file cannot be read.
      WriteError: the new one cannot be written.
    """
    folder = FileSystems.split(path)[0]
    name = f"{kind}-{uuid.uuid4().hex}{PRUNED_FILE}"
    found = Rewritten(kind, path, FileSystems.join(folder, name), touched=bool(entry.get("touched")))
    kept = known = lines = 0
    digest = hashlib.sha256()
    with open_whole(found.written) as file:
        for line, record in rows(path, kind):
            lines += 1
            was_known = record.get("known") is True
            if line is None or (record and record["uri"] in unwanted):
                if kind == FAILURES and record:
                    found.codes[f"{record.get('stage')}/{record.get('error')}"] += 1
                found.known += was_known
                continue
            data = line + b"\n"
            file.write(data)
            digest.update(data)
            kept += 1
            known += was_known
    said = entry.get("records")
    found.removed = (said if isinstance(said, int) else lines) - kept
    if kept:
        found.entry = {"name": name, "records": kept, "sha256": digest.hexdigest()}
        if KNOWN in entry:
            found.entry[KNOWN] = known
        if "touched" in entry:
            found.entry["touched"] = kept if found.touched else 0
    return found


def described(path: str, kind: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a document says of a file that stays."""
    if entry:
        return dict(entry)
    digest, records = hashlib.sha256(), 0
    for _ in rows(path, kind, digest.update):
        records += 1
    return {"name": FileSystems.split(path)[1], "records": records, "sha256": digest.hexdigest()}


def without(data: bytes, kind: str, unwanted: PhotoNames) -> bytes:
    """A small file's content without the records of some photos."""
    lines = data.split(b"\n")
    return b"\n".join(line for line in lines if not _names(_record(line, kind), unwanted))


def _names(record: Mapping[str, Any], unwanted: PhotoNames) -> bool:
    return bool(record) and record["uri"] in unwanted
