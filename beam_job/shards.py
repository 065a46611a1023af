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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from beam_job.counters import count
from beam_job.quoting import shown

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

    ``tally`` counts the records by the keys that they have for the run's books (their ``tally``).
    """

    name: str
    records: int
    sha256: str
    tally: Mapping[str, int] = field(default_factory=dict)


class WriteShards(beam.DoFn):
    """Writes records, which have ``to_json`` and ``tally``, to ``<directory>/<prefix>-<unique>.jsonl``.

    Returns each ``Shard``. A bundle's records are on the disk before the bundle is done, and no step in between
    shuffles them: what a run has captioned survives its end. Where a bundle is tried again, its earlier files are not
    among the shards returned, and the end of the run deletes them.
    """

    def __init__(self, directory: str, prefix: str, limits: ShardLimits = ShardLimits()) -> None:
        self._directory = directory
        self._prefix = prefix
        self._limits = limits

    def start_bundle(self) -> None:
        self._lines: list[str] = []
        self._tally: Counter[str] = Counter()
        self._opened = 0.0

    def process(self, record: Any) -> Iterator[Shard]:
        if not self._lines:
            self._opened = time.monotonic()
        self._lines.append(record.to_json())
        self._tally.update(record.tally)
        count(self._prefix)
        if len(self._lines) >= self._limits.records or time.monotonic() - self._opened >= self._limits.seconds:
            yield self._write()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._lines:
            yield WindowedValue(self._write(), MIN_TIMESTAMP, (GlobalWindow(),))

    def _write(self) -> Shard:
        name = f"{self._prefix}-{uuid.uuid4().hex}.jsonl"
        data = "".join(f"{line}\n" for line in self._lines).encode("utf-8", "backslashreplace")
        shard = Shard(name, len(self._lines), hashlib.sha256(data).hexdigest(), dict(self._tally))
        write_whole(FileSystems.join(self._directory, name), data)
        self.start_bundle()
        return shard


def delete_strays(directory: str, prefix: str, named: set[str]) -> None:
    """Deletes the files of bundles that were tried again: those of a run that ``named`` does not hold.

    An account may be allowed to create files alone, and a bucket may keep them for a time: what is left is a warning.
    """
    try:
        strays = [path for path in files_in(directory, f"{prefix}-*") if FileSystems.split(path)[1] not in named]
    except Exception as error:  # file systems raise what they like
        logging.warning(
            "%s cannot be listed (%s): files of bundles that were tried again may be left.", directory, error
        )
        return
    left = _deleted(strays)
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
    """Writes a file that no reader ever sees in part, on any file system that Beam writes."""
    if "://" in path:  # an object appears when it is complete
        with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            file.write(data)
        return
    beside = Path(f"{path}.{uuid.uuid4().hex}.tmp")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
