"""Merges small files of a run before its manifest names them.

Each bundle leaves a file, so that its records survive whatever happens next; but a runner's bundles may be small, and
later runs read each file. So once a run's files are complete, those that hold less than half of what a file may hold
are copied into larger ones. The manifest is written afterwards and names only these; then the small files are deleted.
A run that is killed before has no manifest: all of its files count, and each image once.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import UnreadableError, read_bytes
from beam_job.files.whole import write_whole
from beam_job.records import KNOWN, TOUCHED
from beam_job.runs.earlier.packed import GroupPacked, pairs
from beam_job.runs.shards import Shard, ShardLimits

_THREADS = 16  # that read small files: on Cloud Storage each takes some round trips


class LostFileError(RuntimeError):
    """A file was changed or deleted before its run had ended."""


class MergeShards(beam.PTransform):
    """Takes the ``Shard`` of each file, and gives those of the files that a manifest is to name.

    Of the files of a kind at most one has less than ``limits.records / 2`` records: at most two files for each
    ``limits.records`` records, begun ones included. Files of copied records, and of known failures alone, are kinds of
    their own, because readers treat a whole file as such.

    Raises, when the pipeline runs:
      LostFileError: a file is not as its ``Shard`` says.
      WriteError: a merged file cannot be written.
    """

    def __init__(self, directory: str, limits: ShardLimits = ShardLimits()) -> None:
        super().__init__()
        self._directory = directory
        self._records = limits.records

    def expand(self, shards: beam.PCollection[Shard]) -> beam.PCollection[Shard]:
        by_kind = shards | "Kind" >> beam.Map(lambda shard: (_kind(shard), shard)).with_output_types(tuple[str, Shard])
        return (
            (by_kind,)
            | "ByKind" >> GroupPacked()
            | "Choose" >> beam.FlatMap(lambda group: groups(pairs(group), self._records))
            | "Spread" >> beam.Reshuffle()
            | "Merge" >> beam.Map(merge, self._directory)
        )


def _kind(shard: Shard) -> str:
    copied, known = bool(shard.counts.get(TOUCHED)), shard.counts.get(KNOWN) == shard.records
    return f"{shard.prefix} {copied} {known}"


def groups(shards: Iterable[tuple[str, Shard]], records: int) -> Iterator[list[Shard]]:
    """Groups of files to merge, from pairs of a kind and a file; a file that is large enough is alone.

    Memory: one group of each kind; there may be millions of files.
    """
    begun: dict[str, list[Shard]] = {}
    held: Counter[str] = Counter()
    for kind, shard in shards:
        if 2 * shard.records >= records:
            yield [shard]
            continue
        if held[kind] + shard.records > records:
            yield begun.pop(kind)
            held[kind] = 0
        begun.setdefault(kind, []).append(shard)
        held[kind] += shard.records
    yield from begun.values()


def merge(shards: Sequence[Shard], directory: str) -> Shard:
    """Writes a file with the records of all ``shards``; a single one stays as it is.

    The name depends on theirs alone: if the work is done again, the file is replaced by the same one.
    """
    if len(shards) == 1:
        return shards[0]
    shards = sorted(shards, key=lambda shard: shard.name)
    with ThreadPoolExecutor(_THREADS) as threads:
        data = b"".join(threads.map(lambda shard: _content(FileSystems.join(directory, shard.name), shard), shards))
    names = hashlib.sha256("\n".join(shard.name for shard in shards).encode()).hexdigest()[:32]
    counts: Counter[str] = Counter()
    for shard in shards:
        counts.update(shard.counts)
    name = f"{shards[0].prefix}-{names}.jsonl"
    write_whole(FileSystems.join(directory, name), data)
    return Shard(name, sum(shard.records for shard in shards), hashlib.sha256(data).hexdigest(), dict(counts))


def _content(path: str, shard: Shard) -> bytes:
    try:
        data = read_bytes(path)
    except UnreadableError as error:
        raise LostFileError(f"{path} {error}, before its run had ended; start it again.") from error
    if data is None or hashlib.sha256(data).hexdigest() != shard.sha256:
        change = "deleted" if data is None else "changed"
        raise LostFileError(f"{path} was {change} before its run had ended; start it again.")
    return data
