"""Moves a finished table to its destination. It is replaced only if it differs; a person's file is never replaced."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam_job.export.leftovers import delete_unfinished, unfinished
from beam_job.files.document import UnreadableError, read_document
from beam_job.files.in_folder import files_in
from beam_job.files.whole import write_whole
from beam_job.listing.uris import absolute
from beam_job.messages.quoting import shown

WRITTEN, UNCHANGED = "written", "unchanged"
NOTE = "table.json"
"""In the folder of an export, what it wrote: the table's path and SHA-256."""

_CHUNK = 1 << 20


class TableError(ValueError):
    """A table cannot be put in its place: the message says why, and what to do."""


@dataclass(frozen=True)
class TablePlace:
    """Where a table goes.

    Attributes:
      path: the file.
      exports: the folder that collects the notes of exports.
      overwrite: replace somebody else's file, too.
    """

    path: str
    exports: str
    overwrite: bool = False

    def check(self) -> None:
        """Raises ``TableError`` where no table can be, or where a file is that no export has left like this."""
        try:
            FileSystems.get_filesystem(self.path)
        except ValueError as error:
            raise TableError(
                f"{self.path}: nothing can be written there; name a file on a disk or on gs://."
            ) from error
        if "://" not in self.path:
            folder = os.path.dirname(os.path.realpath(self.path))
            if not os.path.isdir(folder):
                raise TableError(f"{self.path}: there is no folder {folder}; make it first.")
            if os.path.exists(self.path) and not os.path.isfile(self.path):
                raise TableError(f"{self.path}: this is not a file; name one.")
        unread: dict[str, str] = {}
        try:
            present = None if self.overwrite else digest_of(self.path)
            is_foreign = present is not None and present not in _digests(self.path, self.exports, unread)
        except Exception as error:  # file systems raise what they like
            raise self._refused("read", error) from error
        for folder, reason in unread.items() if is_foreign else ():
            raise TableError(
                f"{self.path}: an export may have written this file, but {shown(folder, 1000)} {reason}. Mend that, "
                "name another file by --output, or let --overwrite replace this one."
            )
        if is_foreign:
            raise TableError(
                f"{self.path}: this file was not written by an export, or was changed since. Name another by "
                "--output, or let --overwrite replace it."
            )

    def publish(self, table: str, parts: list[str]) -> str:
        """Moves a finished table there, unless it is there already; deletes what was made on the way.

        Raises ``TableError`` where somebody has put a file there since the export began, or it cannot be written.
        """
        if "://" not in self.path:
            delete_unfinished(os.path.dirname(os.path.realpath(self.path)))
        digest = digest_of(table)
        found = UNCHANGED
        if digest != digest_of(self.path):
            found = WRITTEN
            self.check()
            note = {"path": _place(self.path, self.exports), "sha256": digest}
            write_whole(FileSystems.join(FileSystems.split(table)[0], NOTE), json.dumps(note).encode())
            try:
                _copy(table, self.path)
            except Exception as error:  # file systems raise what they like
                raise self._refused("written", error) from error
        try:
            FileSystems.delete([table, *parts])
        except Exception as error:  # file systems raise what they like
            logging.warning("Temporary files of the export remain next to %s: %s.", table, error)
        return found

    def _refused(self, what: str, error: Exception) -> TableError:
        reason = getattr(error, "strerror", None) or error
        return TableError(
            f"{self.path}: cannot be {what} ({reason}). Check this account's permissions, or name another by --output."
        )


def digest_of(path: str) -> str | None:
    """The SHA-256 of a file, in hex; ``None`` where there is none."""
    if not FileSystems.exists(path):
        return None
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def tables(exports: str) -> list[str]:
    """The tables that the exports in that folder have written, wherever they are, as far as they are still there.

    Exports that cannot be read are passed over, as ``open_books`` names them.
    """
    return sorted(filter(FileSystems.exists, {path for path, _ in _notes(exports, unread={})}))


def _digests(path: str, exports: str, unread: dict[str, str]) -> Iterator[Any]:
    return (digest for found, digest in _notes(exports, unread) if found == absolute(path))


def _place(path: str, exports: str) -> str:
    """How a table is noted: from the folder of exports if both lie in one folder, which may be moved; else absolute."""
    path, archive = absolute(path), os.path.join(os.path.dirname(absolute(exports)), "")
    return f"../{path.removeprefix(archive)}" if path.startswith(archive) else path


def _notes(exports: str, unread: dict[str, str]) -> Iterator[tuple[str, Any]]:
    """The path and SHA-256 of each table; earlier exports have noted some paths from the folder they started in.

    ``unread`` is as for ``files_in``: ``exports`` may be a link, or closed, as any folder in the archive may.
    """
    archive, name = os.path.split(absolute(exports))
    for note in files_in(archive, name, "*", NOTE, unread=unread):
        try:
            found = read_document(note) or {}
            path = found["path"]
            inside = path.startswith("../")
            yield f"{archive}/{path.removeprefix('../')}" if inside else absolute(path), found.get("sha256")
        except UnreadableError as error:
            logging.warning("Passed over: %s %s.", shown(note, 1000), error)
        except (ValueError, AttributeError, KeyError, TypeError):
            logging.warning("Passed over: %s is not a record of an export.", shown(note, 1000))


def _copy(source: str, path: str) -> None:
    """Copies a file whole or not at all, from and to any file system that Beam knows."""
    if "://" in path:  # an object appears when it is complete
        with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            for chunk in _chunks(source):
                file.write(chunk)
        return
    path = os.path.realpath(path)
    with unfinished(path) as file:
        for chunk in _chunks(source):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        os.replace(file.name, path)


def _chunks(path: str) -> Iterator[bytes]:
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        while chunk := file.read(_CHUNK):
            yield chunk
