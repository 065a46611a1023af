"""Writes captions to one table, sorted by URI, in bounded memory; a table that would not change is not written."""

import hashlib
import heapq
import io
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any, BinaryIO

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue
from pyarrow import Table
from pyarrow.parquet import ParquetWriter

from beam_job.export.tables.csv_cells import header, line
from beam_job.export.tables.published import TablePlace
from beam_job.export.tables.rows import row, schema
from beam_job.files.whole import open_whole, write_whole

CSV, PARQUET = "csv", "parquet"

_PART_RECORDS, _PART_BYTES = 50_000, 64 << 20  # of a part, which is sorted in memory

_AT_ONCE = 100  # parts that are read: each takes a file descriptor, of which macOS allows 256
_BUFFER = 1 << 20  # of each

_GROUP_RECORDS = 5_000  # of Parquet


class WriteTable(beam.PTransform):
    """Writes records to one file, sorted by URI, and yields the outcome, ``published.WRITTEN`` or ``UNCHANGED``.

    Each bundle writes sorted parts, which one worker merges. A table is one file in one order, so the same captions
    give the same bytes with every runner. In memory is one part while it is sorted, and a buffer for each of the parts
    that are merged, a hundred at most.

    Args:
      kind: CSV or PARQUET.
      place: of the file.
      folder: the export's own, for parts.
      carried: names of carried fields.
    """

    def __init__(self, kind: str, place: TablePlace, folder: str, carried: Sequence[str]) -> None:
        super().__init__()
        self._kind = kind
        self._place = place
        self._folder = folder
        self._carried = tuple(carried)

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        parts = records | "SortParts" >> beam.ParDo(_SortParts(self._folder))
        return (
            records.pipeline
            | "Table" >> beam.Create([FileSystems.join(self._folder, f"table.{self._kind}")])
            | "WriteTable" >> beam.Map(_write, self._place, self._carried, parts=beam.pvalue.AsList(parts))
        )


def _write(table: str, place: TablePlace, carried: Sequence[str], parts: list[str]) -> str:
    """Merges parts into a table, and publishes it."""
    made = list[str]()
    few = sorted(parts)
    while len(few) > _AT_ONCE:
        number = min(_AT_ONCE, len(few) - _AT_ONCE + 1)
        made.append(_write_part(few[:number]))
        few = [*few[number:], made[-1]]
    with FileSystems.create(table, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        if table.endswith(CSV):
            file.write(header(carried))
            for record in merge(few):
                file.write(line(record, carried))
        else:
            write_parquet(file, merge(few), carried)
    return place.publish(table, [*parts, *made])


def _write_part(parts: Sequence[str]) -> str:
    """Merges parts into a larger one. The same parts give the same file: if the work is done again, it is replaced."""
    names = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
    path = FileSystems.join(FileSystems.split(parts[0])[0], f"part-{names}.jsonl")
    with open_whole(path) as file:
        for record in merge(parts):
            file.write(f"{json.dumps(record)}\n".encode())
    return path


def write_parquet(file: BinaryIO, records: Iterable[dict[str, Any]], carried: Sequence[str]) -> None:
    """Writes records to a Parquet file, one row group at a time.

    Beam's own sink would keep the whole table in memory on DirectRunner, where its writer is a separate step.
    """
    columns = schema(carried)
    with ParquetWriter(file, columns) as writer:
        rows = (row(record, carried) for record in records)
        while group := list(islice(rows, _GROUP_RECORDS)):
            writer.write_table(Table.from_pylist(group, columns))


class _SortParts(beam.DoFn):
    """Records to files of them, each sorted by URI."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def start_bundle(self) -> None:
        self._lines: list[tuple[str, str]] = []
        self._size = 0

    def process(self, record: dict[str, Any]) -> Iterator[str]:
        text = json.dumps(record)
        self._lines.append((record["uri"], text))
        self._size += len(text)
        if len(self._lines) >= _PART_RECORDS or self._size >= _PART_BYTES:
            yield self._write()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._lines:
            yield WindowedValue(self._write(), MIN_TIMESTAMP, (GlobalWindow(),))

    def _write(self) -> str:
        self._lines.sort()
        path = FileSystems.join(self._folder, f"part-{uuid.uuid4().hex}.jsonl")
        write_whole(path, "".join(f"{text}\n" for _, text in self._lines).encode())
        self.start_bundle()
        return path


def merge(parts: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The records of sorted files, in order. All files are open at once."""
    with ExitStack() as opened:
        files = [opened.enter_context(_open(part)) for part in sorted(parts)]
        yield from heapq.merge(*(map(json.loads, file) for file in files), key=lambda record: record["uri"])


def _open(part: str) -> BinaryIO:
    """Opens a part to be read in pieces of a megabyte. Beam's own reader of objects holds 16 of them, and whoever reads
    its lines asks it for each byte.
    """
    if part.startswith("gs://"):
        file = FileSystems.get_filesystem(part)._gcsIO().open(part, read_buffer_size=_BUFFER)  # noqa: SLF001
    else:
        file = FileSystems.open(part, compression_type=CompressionTypes.UNCOMPRESSED)
    return io.BufferedReader(file, _BUFFER)
