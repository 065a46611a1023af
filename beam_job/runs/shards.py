"""JSON-lines files of bounded size, each written whole or not at all."""

import fnmatch
import hashlib
import logging
import os
import re
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from weakref import WeakSet

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from beam_job.messages.quoting import shown
from beam_job.runs.counters import count

_OBJECT_STORES = ("gs", "s3", "azfs")
_WILDCARD = re.compile(r"[*?[]")


@dataclass(frozen=True)
class ShardLimits:
    """When a file is closed: at so many records, or with the first record after so many seconds.

    What a killed job loses is what no closed file holds yet. Each file costs one write, and on Cloud Storage one
    object: a minute of work in a file is far from both limits.
    """

    records: int = 10_000
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Shard:
    """A finished file: its name within the run, the records in it, and its SHA-256.

    ``counts`` has the number of records by their ``summary_keys``.
    """

    name: str
    records: int
    sha256: str
    counts: Mapping[str, int] = field(default_factory=dict)


def run_id(directory: str) -> str:
    """The id of the run whose folder it is: ``run=<id>``."""
    return FileSystems.split(directory)[1].removeprefix("run=")


class WriteError(OSError):
    """A file cannot be written; the message names it and says why."""


class OpenShard:
    """The records of a file that is not written yet, in memory.

    ``write_open_shards`` writes what every one in this process holds, from another thread.
    """

    def __init__(self, directory: str, prefix: str) -> None:
        self._directory = directory
        self._prefix = prefix
        self._run = run_id(directory)
        self._lock = Lock()
        self._empty()
        with _OPEN_LOCK:
            _OPEN.add(self)

    def add(self, record: Any, limits: ShardLimits) -> Shard | None:
        """Takes a record, and returns the file where it is written with this one. A failed write keeps the records."""
        with self._lock:
            if not self._lines:
                self._opened = time.monotonic()
            self._lines.append(record.to_json(self._run))
            self._counts.update(record.summary_keys)
            count(self._prefix)
            if len(self._lines) >= limits.records or time.monotonic() - self._opened >= limits.seconds:
                return self._write()
        return None

    def close(self) -> Shard | None:
        """Writes what there is, if anything."""
        with self._lock:
            written = self._write() if self._lines else None
        with _OPEN_LOCK:
            _OPEN.discard(self)
        return written

    def close_for_good(self) -> None:
        """Writes what there is; no record is taken, nor counted, afterwards."""
        self._lock.acquire()
        if self._lines:
            self._write()

    def _write(self) -> Shard:
        name = f"{self._prefix}-{uuid.uuid4().hex}.jsonl"
        data = "".join(f"{line}\n" for line in self._lines).encode("utf-8", "backslashreplace")
        shard = Shard(name, len(self._lines), hashlib.sha256(data).hexdigest(), dict(self._counts))
        write_whole(FileSystems.join(self._directory, name), data)
        self._empty()
        return shard

    def _empty(self) -> None:
        self._lines: list[str] = []
        self._counts: Counter[str] = Counter()
        self._opened = 0.0


_OPEN: WeakSet[OpenShard] = WeakSet()  # weak: Beam does not promise to tear down
_OPEN_LOCK = Lock()


def write_open_shards() -> None:
    """Writes what the open shards of this process hold, and holds up whoever has more: the process is about to end.

    Raises ``WriteError`` where one of them cannot be written; the others are.
    """
    _OPEN_LOCK.acquire()
    still_open = list(_OPEN)
    with ThreadPoolExecutor(max(1, len(still_open))) as threads:
        writing = [threads.submit(shard.close_for_good) for shard in still_open]
    for written in writing:
        written.result()


class WriteShards(beam.DoFn):
    """Writes records, which have ``to_json`` and ``summary_keys``, to ``<directory>/<prefix>-<unique>.jsonl``.

    ``directory`` is the run's own folder; each record says the run's id.

    Returns each ``Shard``. A bundle's records are on the disk before the bundle is done, and no step in between
    shuffles them: what a run has captioned survives its end, also where a bundle fails. If that is tried again, its
    earlier files are not among the shards returned, and the end of the run deletes them.
    """

    def __init__(self, directory: str, prefix: str, limits: ShardLimits = ShardLimits()) -> None:
        self._directory = directory
        self._prefix = prefix
        self._limits = limits
        self._open: OpenShard | None = None

    def start_bundle(self) -> None:
        self._open = OpenShard(self._directory, self._prefix)

    def process(self, record: Any) -> Iterator[Shard]:
        assert self._open, "Beam starts a bundle before it hands over its records"
        written = self._open.add(record, self._limits)
        if written is not None:
            yield written

    def finish_bundle(self) -> Iterator[WindowedValue]:
        written = self._open.close() if self._open else None
        if written is not None:
            yield WindowedValue(written, MIN_TIMESTAMP, (GlobalWindow(),))

    def teardown(self) -> None:
        """Writes what a bundle that failed had captioned: the next run need not do it again."""
        if self._open:
            with suppress(WriteError):  # why the bundle failed is what the run says
                self._open.close()


def delete_orphans(directory: str, prefix: str, named: set[str]) -> None:
    """Deletes the files of bundles that were tried again: those of a run that ``named`` does not hold.

    An account may be allowed to create files alone, and a bucket may keep them for a time: what is left is a warning.
    """
    try:
        orphans = [path for path in files_in(directory, f"{prefix}-*") if FileSystems.split(path)[1] not in named]
    except Exception as error:  # file systems raise what they like
        logging.warning(
            "%s cannot be listed (%s): files of bundles that were tried again may be left.", directory, error
        )
        return
    left = _deleted(orphans)
    if left:
        path, reason = next(iter(left.items()))
        logging.warning(
            "Cannot delete what bundles left that were tried again: %s (%s), and %d more. These files repeat records "
            "of the run; its manifest does not name them.", path, reason, len(left) - 1,
        )  # fmt: skip


def _deleted(paths: list[str]) -> dict[str, object]:
    """Deletes files; returns those that are left, and why."""
    left: dict[str, object] = {}
    for path in [path for path in paths if "://" not in path]:
        try:
            os.remove(path)
        except OSError as error:
            left[path] = error
    # Beam takes what it shall delete on gs:// for patterns; the unique part of a name makes them exact.
    remote = [_WILDCARD.sub("?", path) if path.startswith("gs://") else path for path in paths if "://" in path]
    try:
        FileSystems.delete(remote)
    except BeamIOError as error:
        left.update(error.exception_details or dict.fromkeys(remote, error))
    except Exception as error:  # file systems raise what they like
        left.update(dict.fromkeys(remote, error))
    return left


def files_in(directory: str, *pattern: str) -> list[str]:
    """Paths of the files in ``directory``, taken as it is written, that match a pattern of one or more names.

    Raises ``OSError`` where ``directory`` cannot be read, and what other file systems raise.
    """
    if "://" in directory:
        start = _WILDCARD.split(FileSystems.join(directory, *pattern))[0]
        wanted = re.compile(re.escape(FileSystems.join(directory, "")) + "/".join(map(_regex, pattern)))
        found = FileSystems.match([f"{start}**"])[0].metadata_list
        return sorted(file.path for file in found if wanted.fullmatch(file.path))
    paths = [directory] if os.path.isdir(directory) else []
    for names in pattern:
        paths = [os.path.join(path, name) for path in paths for name in fnmatch.filter(_listed(path, directory), names)]
    return sorted(filter(os.path.isfile, paths))


def _listed(path: str, directory: str) -> list[str]:
    try:
        return os.listdir(path)
    except NotADirectoryError:
        return []
    except OSError as error:
        if path == directory:
            raise
        logging.warning("Passed over: %s cannot be read (%s).", shown(path), error.strerror)
        return []


def _regex(names: str) -> str:
    return re.escape(names).replace(r"\*", "[^/]*")


def write_whole(path: str, data: bytes) -> None:
    """Writes a file that no reader ever sees in part, on any file system that Beam writes; raises ``WriteError``.

    Where it cannot be written nothing is left of it. A process that is killed may leave a ``.tmp`` file, which no
    reader looks at; the end of its run deletes it, but later runs don't: its writer could be another run that goes on.
    """
    try:
        if has_folders(path):
            _write_beside(path, data)
        else:  # an object appears when it is complete
            _create(path, data)
    except Exception as error:  # file systems raise what they like
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise WriteError(f"cannot write {path}: {reason}") from error


def has_folders(path: str) -> bool:
    """Whether a file lies in folders that have to be made, and can be seen while it is written: on disks and HDFS."""
    scheme, separator, _ = path.partition("://")
    return not separator or scheme not in _OBJECT_STORES


def _write_beside(path: str, data: bytes) -> None:
    beside = f"{path}.{uuid.uuid4().hex}.tmp"
    try:
        if "://" in path:
            _create(beside, data)
            if FileSystems.exists(path):  # HDFS puts no file in the place of another
                FileSystems.delete([path])
            FileSystems.rename([beside], [path])
            return
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(Exception):
            FileSystems.delete([beside]) if "://" in path else os.remove(beside)
        raise


def _create(path: str, data: bytes) -> None:
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(data)
