"""JSON-lines files of bounded size, each written completely or not at all."""

import hashlib
import logging
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
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from beam_job.files.in_folder import delete_files, files_in
from beam_job.files.whole import WriteError, write_whole
from beam_job.metrics import count


@dataclass(frozen=True)
class ShardLimits:
    """When a file is closed: after this number of records, or at the first record after this number of seconds.

    A killed job loses the records that are not in a closed file. Each file costs one write, and on Cloud Storage one
    object; a minute of work per file is a compromise.
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

    @property
    def prefix(self) -> str:
        """What the records are, ``captions`` or ``failures``: the beginning of the name."""
        return self.name.partition("-")[0]

    def entry(self) -> dict[str, Any]:
        """What a manifest says of it."""
        return {"name": self.name, "records": self.records, "sha256": self.sha256}


def run_id(directory: str) -> str:
    """The id of the run whose folder it is: ``run=<id>``."""
    return FileSystems.split(directory)[1].removeprefix("run=")


class OpenShard:
    """The records of a file that is not written yet, in memory.

    ``write_open_shards`` writes all of them in this process, from another thread.
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
        """Adds a record; returns the file if this record completes it. A failed write keeps the records."""
        with self._lock:
            if not self._records:
                self._opened = time.monotonic()
            self._data += f"{record.to_json(self._run)}\n".encode("utf-8", "backslashreplace")
            self._records += 1
            self._counts.update(record.summary_keys)
            count(self._prefix)
            if self._records >= limits.records or time.monotonic() - self._opened >= limits.seconds:
                return self._write()
        return None

    def close(self) -> Shard | None:
        """Writes the records, if there are any."""
        with self._lock:
            written = self._write() if self._records else None
        with _OPEN_LOCK:
            _OPEN.discard(self)
        return written

    def close_for_good(self) -> None:
        """Writes the records; later records are neither taken nor counted."""
        self._lock.acquire()
        if self._records:
            self._write()

    def _write(self) -> Shard:
        name = f"{self._prefix}-{uuid.uuid4().hex}.jsonl"
        shard = Shard(name, self._records, hashlib.sha256(self._data).hexdigest(), dict(self._counts))
        write_whole(FileSystems.join(self._directory, name), self._data)
        self._empty()
        return shard

    def _empty(self) -> None:
        self._data = bytearray()  # grows in place: a list of lines would be copied three times to be written
        self._records = 0
        self._counts: Counter[str] = Counter()
        self._opened = 0.0


_OPEN: WeakSet[OpenShard] = WeakSet()  # weak: Beam does not promise to tear down
_OPEN_LOCK = Lock()


def write_open_shards() -> None:
    """Writes the open shards of this process, and blocks threads that add more: the process is about to end.

    Raises ``WriteError`` if one of them cannot be written; the others are written.
    """
    _OPEN_LOCK.acquire()
    still_open = list(_OPEN)
    with ThreadPoolExecutor(max(1, len(still_open))) as threads:
        writing = [threads.submit(shard.close_for_good) for shard in still_open]
    for written in writing:
        written.result()


class WriteShards(beam.DoFn):
    """Writes records, which have ``to_json`` and ``summary_keys``, to ``<directory>/<prefix>-<unique>.jsonl``.

    ``directory`` is the run's own folder; each record has the run's id.

    Returns each ``Shard``. The records of a bundle are on disk before the bundle is done, and no step in between
    shuffles them, so a run's captions survive its end, even if a bundle fails. If the bundle is retried, its earlier
    files are not among the returned shards, and the end of the run deletes them. Small files are merged at the end
    (``runs.merge``).
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
        """Writes the captions of a failed bundle, so that the next run need not repeat them."""
        if self._open:
            with suppress(WriteError):  # why the bundle failed is what the run says
                self._open.close()


def delete_orphans(directory: str, prefix: str, named: set[str]) -> None:
    """Deletes files of the run that are not in ``named``: those that were merged, and those of retried bundles.

    An account may lack the permission to delete, and a bucket may retain objects: files that remain cause a warning.
    """
    try:
        orphans = [path for path in files_in(directory, f"{prefix}-*") if FileSystems.split(path)[1] not in named]
    except Exception as error:  # file systems raise what they like
        logging.warning("%s cannot be listed (%s): files that its manifest does not name may remain.", directory, error)
        return
    left = delete_files(orphans)
    if left:
        path, reason = next(iter(left.items()))
        logging.warning(
            "Cannot delete files that were merged, or whose bundles were retried: %s (%s), and %d more. They repeat "
            "records of the run; its manifest does not name them.", path, reason, len(left) - 1,
        )  # fmt: skip
