"""Selects the images on the page: all of a small run, a sample of a large one."""

import heapq
from typing import Any

from beam_job.runs.digest import digest64

Entry = tuple[float, int, dict[str, Any]]


class Sample:
    """Keeps the records that come first by priority, and a random sample of the others, ``size`` records in all.

    The sample depends only on the seed and the URIs, neither on the order of the files nor on other records: a URI with
      a smaller digest is always preferred.

    Args:
      size: number of records; a third of them are the first by priority, smallest number first.
      seed: random seed.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self._first: list[Entry] = []  # a heap with the last by priority on top
        self._random: list[Entry] = []  # a heap with the greatest digest on top

    def add(self, record: dict[str, Any], priority: float) -> None:
        digest = digest64(f"{self.seed} {record['uri']}")
        _keep(self._first, (-priority, -digest, record), -(-self.size // 3))
        _keep(self._random, (-digest, 0, record), self.size)

    def records(self) -> list[tuple[dict[str, Any], bool]]:
        """The selected records, first by priority first, and whether each was selected by priority."""
        first = [entry[-1] for entry in sorted(self._first, key=lambda entry: entry[:2], reverse=True)]
        uris = {record["uri"] for record in first}
        others = [entry[-1] for entry in sorted(self._random, key=lambda entry: entry[:2], reverse=True)]
        rest = [record for record in others if record["uri"] not in uris]
        return [(record, True) for record in first] + [(record, False) for record in rest[: self.size - len(first)]]


def _keep(heap: list[Entry], entry: Entry, most: int) -> None:
    if len(heap) < most:
        heapq.heappush(heap, _Entry(entry))
    elif heap and entry[:2] > heap[0][:2]:
        heapq.heapreplace(heap, _Entry(entry))


class _Entry(tuple):
    """Entries are ordered by their numbers; records cannot be compared."""

    def __lt__(self, other: tuple[Any, ...]) -> bool:
        return bool(self[:2] < other[:2])
