"""A finished table to its place: replaced whole, and only where it differs; a person's file is never replaced."""

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam_job.runs.shards import files_in, write_whole

WRITTEN, UNCHANGED = "written", "unchanged"
NOTE = "table.json"
"""In the folder of an export, what it wrote: the table's path and SHA-256."""

_CHUNK = 1 << 20


class NotOursError(ValueError):
    """The file in a table's place was written, or changed, by somebody else; the message says what to do."""


def check_ours(path: str, exports: str) -> None:
    """Raises ``NotOursError`` where the file at ``path`` is not as one of the exports in that folder left it."""
    present = digest_of(path)
    if present is not None and present not in _digests(path, exports):
        raise NotOursError(
            f"{path}: this file was not written by an export, or was changed since. Name another by --output, or let "
            "--overwrite replace it."
        )


def publish(table: str, path: str, parts: list[str]) -> str:
    """Moves a finished table to ``path``, unless it is there already; deletes what was made on the way."""
    digest = digest_of(table)
    found = UNCHANGED
    if digest != digest_of(path):
        found = WRITTEN
        note = {"path": path, "sha256": digest}
        write_whole(FileSystems.join(FileSystems.split(table)[0], NOTE), json.dumps(note).encode())
        _copy(table, path)
    try:
        FileSystems.delete([table, *parts])
    except Exception as error:  # file systems raise what they like
        logging.warning("Files that the export made on its way are left beside %s: %s.", table, error)
    return found


def digest_of(path: str) -> str | None:
    """The SHA-256 of a file, in hex; ``None`` where there is none."""
    if not FileSystems.exists(path):
        return None
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _digests(path: str, exports: str) -> Iterator[Any]:
    for note in files_in(exports, "*", NOTE):
        try:
            with FileSystems.open(note) as file:
                found = json.loads(file.read(_CHUNK))
            if found.get("path") == path:
                yield found.get("sha256")
        except (ValueError, AttributeError):
            logging.warning("Passed over: %s is no note of an export.", note)


def _copy(source: str, path: str) -> None:
    """Copies a file whole or not at all, from and to any file system that Beam knows."""
    if "://" in path:  # an object appears when it is complete
        with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            for chunk in _chunks(source):
                file.write(chunk)
        return
    beside = Path(f"{path}.{uuid.uuid4().hex}.tmp")
    try:
        with beside.open("wb") as file:
            for chunk in _chunks(source):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _chunks(path: str) -> Iterator[bytes]:
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        while chunk := file.read(_CHUNK):
            yield chunk
