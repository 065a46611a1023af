"""Fetches and decodes images independently of each other, ahead of the model."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from beam_job.images.decoder import DecodersError, UnforeseenError
from beam_job.images.decoders import shared_decoders
from beam_job.images.download import FetchError, FetchStats
from beam_job.images.fetch import CredentialsError, FetchLimits, shared_fetcher
from beam_job.images.per_process import per_process
from beam_job.images.pixels import MAX_PIXELS, ImageError
from beam_job.messages import unforeseen
from beam_job.metrics import METRICS, count_failure
from beam_job.records import Content, DecodedImage, EarlierCaption, EarlierFailure, Failure, Unchanged

FAILURES, UNCHANGED = "failures", "unchanged"


@dataclass(frozen=True)
class Loading:
    """How images are loaded.

    Attributes:
      threads: images that each worker process fetches at a time; it decodes one per core.
      fetch: limits for fetching one image.
      max_pixels: maximum size; larger images are refused from their header.
      accept_truncated: use the existing part of files that end too early.
      decode_deadline: seconds of CPU time to decode one image.
      decode_memory: bytes of memory to decode one image, in addition to its file. There is no such limit on macOS.
    """

    threads: int = 16
    fetch: FetchLimits = field(default_factory=FetchLimits)
    max_pixels: int = MAX_PIXELS
    accept_truncated: bool = False
    decode_deadline: float = 60.0
    decode_memory: int = 2 << 30


class _Wanted(NamedTuple):
    """An image to load, as ``FetchAndDecode`` takes it; ``captions`` are ``EarlierCaption`` or plain tuples like it."""

    uri: str
    carried: Mapping[str, Any] | None = None
    earlier: EarlierFailure | None = None
    version: str | None = None
    captions: Sequence[tuple[Any, ...]] = ()


class _Loaded(NamedTuple):
    """One image's outcome and what it took; threads have no access to Beam's metrics.

    ``place`` has the time and the window of its URI, and how the image failed before for a value.
    """

    outcome: DecodedImage | Failure | Unchanged
    place: WindowedValue
    stats: FetchStats
    size: int | None  # bytes, where it was fetched
    fetch_seconds: float
    decode_seconds: float


class FetchAndDecode(beam.DoFn):
    """Turns a URI into a ``DecodedImage``, or into a ``Failure`` in the output ``FAILURES``.

    Takes URIs, or tuples of a URI, the fields to carry, its earlier failure, its version, and its captions in earlier
    runs. If the image's bytes are those of an earlier caption, the image is not decoded, and an ``Unchanged`` goes to
    the output ``UNCHANGED``. While later steps work on an image, threads fetch the next ones, at most
    ``loading.threads`` at a time in a worker process, and have them decoded in separate processes. Each bundle holds at
    most this number of images plus ``ahead``, decoded or not, which bounds the memory. The bound applies to each
    bundle, not to all bundles of a process together: a bundle that the runner feeds late would keep its share, and
    bundles could wait for each other. Images leave in the order in which they become ready, so an image that is slow to
    fetch delays no other.

    An unexpected exception fails only its image; ``CredentialsError`` and ``DecodersError`` end the job.

    Args:
      height, width: of the model's images, in pixels.
      loading: how images are loaded.
      ahead: number of decoded images that may wait for the model.
    """

    def __init__(self, height: int, width: int, loading: Loading = Loading(), ahead: int = 0) -> None:
        self._height = height
        self._width = width
        self._loading = loading
        self._most = loading.threads + ahead

    def setup(self) -> None:
        self._fetcher = shared_fetcher(self._loading.fetch, self._loading.threads)
        self._loaders = _shared_pool(self._loading.threads)
        self._decoders = shared_decoders()
        self._fetched = Metrics.counter(METRICS, "fetched")
        self._bytes = Metrics.distribution(METRICS, "image_bytes")
        self._fetch_time = Metrics.distribution(METRICS, "fetch_ms")
        self._decode_time = Metrics.distribution(METRICS, "decode_ms")
        self._retries = Metrics.counter(METRICS, "fetch_retries")
        self._waited = Metrics.counter(METRICS, "fetch_retry_wait_ms")

    def start_bundle(self) -> None:
        self._ready: SimpleQueue[Future[_Loaded]] = SimpleQueue()
        self._in_hand = 0

    def process(
        self,
        element: str | tuple[Any, ...],
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        wanted = _Wanted(element) if isinstance(element, str) else _Wanted(*element)
        loading = self._loaders.submit(self._load, wanted, WindowedValue(wanted.earlier, timestamp, (window,)))
        loading.add_done_callback(self._ready.put)
        self._in_hand += 1
        # One out for each one in: if all that are ready left at once, no more would be fetched while the model works.
        if self._in_hand > self._most:
            yield self._next()

    def finish_bundle(self) -> Iterator[Any]:
        while self._in_hand:
            yield self._next()

    def _load(self, wanted: _Wanted, place: WindowedValue) -> _Loaded:
        uri, carried = wanted.uri, wanted.carried
        stats = FetchStats()
        started = time.perf_counter()

        def failed(failure: Failure) -> _Loaded:
            return _Loaded(failure, place, stats, None, time.perf_counter() - started, 0.0)

        try:
            data = self._fetcher.fetch(uri, stats)
        except FetchError as error:
            return failed(Failure(uri, "fetch", error.code, error.message, carried))
        except MemoryError:
            return failed(Failure(uri, "fetch", "too_large", "The file does not fit into memory.", carried))
        except CredentialsError:
            raise
        except Exception as error:
            return failed(_unforeseen(uri, "fetch", error, carried))
        fetched = time.perf_counter() - started
        sha256 = hashlib.sha256(data).hexdigest()
        version = stats.version if wanted.version is None else wanted.version
        for caption in wanted.captions:
            if caption[0] == sha256:
                unchanged = Unchanged(uri, carried, version, EarlierCaption(*caption))
                return _Loaded(unchanged, place, stats, len(data), fetched, 0.0)
        outcome, seconds = self._decode(wanted, data, sha256, version)
        return _Loaded(outcome, place, stats, len(data), fetched, seconds)

    def _decode(
        self, wanted: _Wanted, data: bytes, sha256: str, version: str | None
    ) -> tuple[DecodedImage | Failure, float]:
        """The outcome, and the seconds that it took."""
        uri, carried = wanted.uri, wanted.carried
        outcome: DecodedImage | Failure
        with self._decoders.turn() as decoder:
            started = time.perf_counter()
            try:
                decoded = decoder.decode(
                    data,
                    self._height,
                    self._width,
                    max_pixels=self._loading.max_pixels,
                    accept_truncated=self._loading.accept_truncated,
                    seconds=self._loading.decode_deadline,
                    memory=self._loading.decode_memory,
                )
            except ImageError as error:
                outcome = Failure(uri, "decode", error.code, error.message, carried, sha256)
            except DecodersError:
                raise
            except Exception as error:
                outcome = _unforeseen(uri, "decode", error, carried, sha256)
            else:
                content = Content(len(data), sha256, decoded.dhash, version)
                outcome = DecodedImage(
                    uri, decoded.width, decoded.height, decoded.array, carried, content, changed=bool(wanted.captions)
                )
            return outcome, time.perf_counter() - started

    def _next(self) -> WindowedValue | TaggedOutput:
        """The image that is ready first, in the window and at the time of its URI."""
        loaded = self._ready.get().result()
        self._in_hand -= 1
        self._fetch_time.update(round(1000 * loaded.fetch_seconds))
        self._retries.inc(loaded.stats.retries)
        self._waited.inc(round(1000 * loaded.stats.waited))
        if loaded.size is not None:
            self._fetched.inc()
            self._bytes.update(loaded.size)
            self._decode_time.update(round(1000 * loaded.decode_seconds))
        outcome = loaded.outcome
        if isinstance(outcome, Unchanged):
            return TaggedOutput(UNCHANGED, loaded.place.with_value(outcome))
        if loaded.place.value:
            outcome = replace(outcome, earlier=loaded.place.value)
        found = loaded.place.with_value(outcome)
        if isinstance(outcome, Failure):
            count_failure(outcome)
            return TaggedOutput(FAILURES, found)
        return found


def _unforeseen(
    uri: str, stage: str, error: Exception, carried: Mapping[str, Any] | None, sha256: str | None = None
) -> Failure:
    if isinstance(error, UnforeseenError):  # it came up in another process
        kind, text, trace = error.kind, error.text, error.trace
    else:
        kind, text, trace = type(error).__name__, str(error), unforeseen.trace_of(error)
    return Failure(uri, stage, unforeseen.CODE, unforeseen.logged(uri, stage, kind, text, trace), carried, sha256)


@per_process
def _shared_pool(threads: int) -> ThreadPoolExecutor:
    """The threads of this process that fetch."""
    return ThreadPoolExecutor(threads, thread_name_prefix="load")
