"""Pairs of a key and a value, grouped by key, many of them to an element of the runner.

A runner spends some microseconds and hundreds of bytes on each element, however small it is. So pairs travel in
compressed blocks, and what is grouped are blocks of keys that have the same number.
"""

import pickle
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from beam_job.runs.digest import digest64
from beam_job.runs.earlier.portions import send_in_small_portions

_GROUPS = 1024  # of 100,000,000 keys, one has 100,000: some tens of megabytes while it is worked on
_BLOCK_BYTES = 8_192  # before compression; a group has that much pending at most, 8 MiB all together


class GroupPacked(beam.PTransform):
    """Takes collections of (key, value); gives groups of them, which ``pairs`` reads: all of a key are in one group.

    Keys are texts; values are whatever can be pickled.
    """

    def expand(self, collections: Any) -> beam.PCollection:
        # Each is packed where it is made: a runner would hold what it flattens.
        packed = [each | f"Pack{number}" >> beam.ParDo(_Pack()) for number, each in enumerate(collections)]
        return packed | beam.Flatten() | beam.GroupByKey()


def pairs(group: tuple[int, Iterable[bytes]]) -> Iterator[tuple[str, Any]]:
    """The pairs of a group, in any order; none but those of one block are held in memory."""
    for block in group[1]:
        yield from map(pickle.loads, pickle.loads(zlib.decompress(block)))


class _Pack(beam.DoFn):
    def setup(self) -> None:
        send_in_small_portions()

    def start_bundle(self) -> None:
        self._pending: dict[int, list[bytes]] = {}
        self._bytes: dict[int, int] = {}

    def process(self, pair: tuple[str, Any]) -> Iterator[tuple[int, bytes]]:
        group = digest64(pair[0]) % _GROUPS
        data = pickle.dumps(pair, pickle.HIGHEST_PROTOCOL)
        pending = self._pending.setdefault(group, [])
        pending.append(data)
        size = self._bytes[group] = self._bytes.get(group, 0) + len(data)
        if size >= _BLOCK_BYTES:
            yield group, _block(self._pending.pop(group))
            del self._bytes[group]

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for group, pending in self._pending.items():
            yield WindowedValue((group, _block(pending)), MIN_TIMESTAMP, (GlobalWindow(),))
        self.start_bundle()


def _block(pairs: list[bytes]) -> bytes:
    return zlib.compress(pickle.dumps(pairs, pickle.HIGHEST_PROTOCOL), level=1)
