"""Queries storage for the versions of captioned images, to find those that changed if no listing gives versions."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from beam_job.images.download import FetchError
from beam_job.images.fetch import FetchLimits, shared_fetcher

_BATCH = 256  # images that are asked for together, some at a time
_COUNTS = "counts"


class Rechecked(NamedTuple):
    """Images that changed, and numbers of (0, images that did not, 0)."""

    uris: beam.PCollection[tuple[Any, ...]]
    counts: beam.PCollection[tuple[int, int, int]]


class Recheck(beam.PTransform):
    """Queries the version of each image, in one request: a stat on disks, metadata on Cloud Storage.

    Takes rows like those of ``New.uris`` whose version is the captioned one. An image whose storage gives no version
    counts as unchanged. An image that cannot be queried is treated as changed, so that its failure is recorded.

    Args:
      limits: of time.
      threads: number of simultaneous requests in each worker process.
    """

    def __init__(self, limits: FetchLimits, threads: int) -> None:
        super().__init__()
        self._limits = limits
        self._threads = threads

    def expand(self, rows: beam.PCollection) -> Any:  # Rechecked, which Beam's type hints don't know
        found = (
            rows
            | beam.Reshuffle()
            | beam.BatchElements(_BATCH, _BATCH)
            | "Ask" >> beam.ParDo(_Ask(self._limits, self._threads)).with_outputs(_COUNTS, main="changed")
        )
        return Rechecked(found.changed, found[_COUNTS])


class _Ask(beam.DoFn):
    def __init__(self, limits: FetchLimits, threads: int) -> None:
        self._limits = limits
        self._threads = threads

    def setup(self) -> None:
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="recheck")
        self._fetcher = shared_fetcher(self._limits, self._threads)

    def teardown(self) -> None:
        self._pool.shutdown(wait=False)

    def process(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        unchanged = 0
        for row, (changed, version) in zip(rows, self._pool.map(self._look, rows), strict=True):
            if changed:
                uri, carried, earlier, _, captions = row
                yield uri, carried, earlier, version, captions
            else:
                unchanged += 1
        yield TaggedOutput(_COUNTS, (0, unchanged, 0))

    def _look(self, row: tuple[Any, ...]) -> tuple[bool, str | None]:
        """Whether an image changed, and its version now."""
        uri, _, _, captioned, _ = row
        try:
            version = self._fetcher.version(uri)
        except FetchError:
            return True, None
        return version not in (None, captioned), version
