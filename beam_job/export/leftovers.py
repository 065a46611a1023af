"""Files on disks that are not finished yet, and those that exports left when they were killed.

What is unfinished is locked by the process that writes it. The system drops the lock with the process, however that
ends, so whatever has a name of ours and no lock is a leftover. Where a disk has no locks, leftovers stay.
"""

import fcntl
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from beam_job.runs.manifest import MANIFEST

_START, _END = ".captioner-", ".tmp"  # short: the file that it becomes may have a name as long as names can be
_PART = re.compile(r"part-[0-9a-f]{32}\.jsonl|table\.(csv|parquet)|.+\.[0-9a-f]{32}\.tmp")


@contextmanager
def unfinished(target: str) -> Iterator[IO[bytes]]:
    """A new file beside ``target``, to be moved there; it is deleted if it was not. Raises ``OSError``."""
    file = _new(os.path.dirname(target))
    try:
        with file:
            yield file
    finally:
        with suppress(OSError):
            os.unlink(file.name)


def delete_unfinished(folder: str) -> None:
    """Deletes unfinished files that killed exports left in a folder. What cannot be deleted stays."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(_START) and name.endswith(_END):
                _delete(os.path.join(folder, name))


@contextmanager
def running(export: str) -> Iterator[None]:
    """Says that the export with this folder is running."""
    folder = os.open(export, os.O_RDONLY)
    try:
        with suppress(OSError):
            _lock(folder)
        yield
    finally:
        os.close(folder)


def delete_parts(exports: str) -> None:
    """Deletes the parts of tables in the folders of exports that were killed. What cannot be deleted stays."""
    with suppress(OSError):
        for name in [] if os.path.islink(exports) else os.listdir(exports):
            export = os.path.join(exports, name)
            if not os.path.exists(os.path.join(export, MANIFEST)):
                with suppress(OSError):
                    _delete_parts_of(export)


def _delete_parts_of(export: str) -> None:
    folder = os.open(export, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _lock(folder)
        for name in filter(_PART.fullmatch, os.listdir(export)):
            os.unlink(os.path.join(export, name))
    finally:
        os.close(folder)


def _new(folder: str) -> IO[bytes]:
    while True:
        path = os.path.join(folder, f"{_START}{uuid.uuid4().hex}{_END}")
        file = open(path, "xb")  # noqa: SIM115 - the caller closes it
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.path.exists(path):  # else it was taken for a leftover before it was locked
            return file
        file.close()


def _delete(path: str) -> None:
    with suppress(OSError), open(path, "r+b") as file:
        _lock(file.fileno())
        os.unlink(path)


def _lock(descriptor: int) -> None:
    """Raises ``OSError`` where another process has locked it, or the disk has no locks."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
