"""JSON-lines files of bounded size, each written whole or not at all."""

import hashlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

MAX_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class Shard:
    """A finished file: its name within the run, the records in it, and its SHA-256."""

    name: str
    records: int
    sha256: str


class WriteShards(beam.DoFn):
    """Writes records, anything with ``to_json``, to ``<directory>/<prefix>-<unique>.jsonl``; returns each ``Shard``.

    A bundle's records are on the disk before the bundle is done, and no step in between shuffles them: what a run has
    captioned survives its end. Where a bundle is tried again, its earlier files are not among the shards returned.
    """

    def __init__(self, directory: str, prefix: str, max_records: int = MAX_RECORDS) -> None:
        self._directory = directory
        self._prefix = prefix
        self._max_records = max_records

    def start_bundle(self) -> None:
        self._lines: list[str] = []

    def process(self, record: Any) -> Iterator[Shard]:
        self._lines.append(record.to_json())
        if len(self._lines) >= self._max_records:
            yield self._write()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._lines:
            yield WindowedValue(self._write(), MIN_TIMESTAMP, (GlobalWindow(),))

    def _write(self) -> Shard:
        name = f"{self._prefix}-{uuid.uuid4().hex}.jsonl"
        data = "".join(f"{line}\n" for line in self._lines).encode("utf-8", "backslashreplace")
        shard = Shard(name, len(self._lines), hashlib.sha256(data).hexdigest())
        write_whole(FileSystems.join(self._directory, name), data)
        self._lines = []
        return shard


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
