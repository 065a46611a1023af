"""Files that no reader ever sees in part: written beside their place and renamed, or objects of a store.

write_whole("gs://bucket/captions/run.json", data)
with open_whole("cache/features.npz") as file:
    np.savez(file, **arrays)
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

_OBJECT_STORES = ("gs", "s3", "azfs")


class WriteError(OSError):
    """A file cannot be written; the message names it and says why."""


def write_whole(path: str, data: bytes | bytearray) -> None:
    """Writes a file whole, on any file system that Beam writes, and replaces what is there; raises ``WriteError``."""
    try:
        with open_whole(path) as file:
            file.write(data)
    except Exception as error:  # file systems raise what they like
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise WriteError(f"cannot write {path}: {reason}") from error


@contextmanager
def open_whole(path: str) -> Iterator[BinaryIO]:
    """A file to write to, which is in its place, and on the disk, once the block has ended without an error.

    Where it cannot be written nothing is left of it on disks and HDFS. A process that is killed may leave a ``.tmp``
    file, which no reader looks at; the end of its run deletes it, but later runs don't: its writer could be another run
    that goes on. Raises what the file system raises.
    """
    if not has_folders(path):  # an object appears when it is complete
        with _create(path) as file:
            yield file
        return
    beside = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        if "://" in path:
            with _create(beside) as file:
                yield file
            if FileSystems.exists(path):  # HDFS puts no file in the place of another
                FileSystems.delete([path])
            FileSystems.rename([beside], [path])
            return
        with open(beside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(Exception):
            FileSystems.delete([beside]) if "://" in path else os.remove(beside)
        raise


def has_folders(path: str) -> bool:
    """Whether a file lies in folders that have to be made, and can be seen while it is written: on disks and HDFS."""
    scheme, separator, _ = path.partition("://")
    return not separator or scheme not in _OBJECT_STORES


def _create(path: str) -> BinaryIO:
    return FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
