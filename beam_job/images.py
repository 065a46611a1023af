"""URIs to decoded images: each one is fetched and decoded on its own, in threads, ahead of the model."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from beam_job.fetch import Fetcher, FetchError
from beam_job.pixels import ImageError, decode
from beam_job.records import DecodedImage, Failure

FAILURES = "failures"


class FetchAndDecode(beam.DoFn):
    """Turns a URI into a ``DecodedImage``, or into a ``Failure`` in the output ``FAILURES``.

    While the steps behind this one work on an image, threads fetch and decode the next ones. At most ``threads``
    images are ahead at any time: that bounds the memory.

    Args:
      height, width: of the model's images, in pixels.
      threads: images that are fetched and decoded at the same time.
    """

    def __init__(self, height: int, width: int, threads: int) -> None:
        self._height = height
        self._width = width
        self._threads = threads

    def setup(self) -> None:
        self._fetcher = Fetcher()
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="fetch")

    def start_bundle(self) -> None:
        self._ahead: deque[tuple[Future[DecodedImage | Failure], WindowedValue]] = deque()

    def process(
        self, uri: str, timestamp: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        self._ahead.append((self._pool.submit(self._load, uri), WindowedValue(uri, timestamp, (window,))))
        while len(self._ahead) > self._threads:
            yield self._oldest()

    def finish_bundle(self) -> Iterator[Any]:
        while self._ahead:
            yield self._oldest()

    def teardown(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _load(self, uri: str) -> DecodedImage | Failure:
        try:
            data = self._fetcher.fetch(uri)
        except FetchError as error:
            return Failure(uri, "fetch", error.code, error.message)
        try:
            pixels = decode(data, self._height, self._width)
        except ImageError as error:
            return Failure(uri, "decode", error.code, error.message)
        return DecodedImage(uri, pixels.width, pixels.height, pixels.array)

    def _oldest(self) -> WindowedValue | TaggedOutput:
        """What has waited longest, in the window and at the time of its URI."""
        future, place = self._ahead.popleft()
        loaded = place.with_value(future.result())
        return TaggedOutput(FAILURES, loaded) if isinstance(loaded.value, Failure) else loaded
