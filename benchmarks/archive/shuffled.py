"""Bytes for each URI that a run sends through its shuffles, as a runner encodes them."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders.coders import FastPrimitivesCoder
from apache_beam.metrics import Metrics
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from beam_job.devices import BATCH_SIZE
from beam_job.listing.uris import LISTED
from beam_job.runs.earlier.known import CAPTIONED
from beam_job.runs.earlier.packed import GroupPacked
from benchmarks.archive.simulated.bucket import NAME
from benchmarks.archive.simulated.photos import name_of

_GENERATION = "1700000000000000"
_RUN = "run=20260102T030405Z-a1b2c3"


def bytes_for_each(count: int) -> dict[str, float]:
    """Bytes for each of ``count`` URIs: listed, captioned by an earlier run, and sent on to be captioned.

    The first two go through the first shuffle, where versions are compared; the last through the second.
    """
    return {
        "listed": _packed(count, lambda number: (uri(number), (LISTED, None, _GENERATION))),
        "captioned": _packed(count, lambda number: (uri(number), _captioned(number))),
        "to_caption": _grouped(count),
    }


def uri(number: int) -> str:
    """A photo's name, of 35 characters."""
    return f"gs://{NAME}/photos/{name_of(number)}"


def _captioned(number: int) -> tuple[Any, ...]:
    digest = hashlib.sha256(uri(number).encode()).hexdigest()
    path = f"gs://output/captions/{_RUN}/captions-{hashlib.md5(b'a file').hexdigest()}.jsonl"
    return CAPTIONED, _RUN, _GENERATION, digest, path, 600 * (number % 10_000), 600


def _packed(count: int, pair: Callable[[int], tuple[str, Any]]) -> float:
    def pairs(_: int) -> Iterator[tuple[str, Any]]:
        return map(pair, range(count))

    pipeline = beam.Pipeline(options=PipelineOptions(["--runner=DirectRunner"]))
    made = pipeline | beam.Create([0]) | beam.FlatMap(pairs).with_output_types(tuple[str, Any])
    (made,) | GroupPacked() | beam.Map(_count)
    result = pipeline.run()
    result.wait_until_finish()
    (counter,) = result.metrics().query(MetricsFilter().with_name("bytes"))["counters"]
    return float(counter.committed / count)


def _count(group: tuple[int, Iterable[bytes]]) -> None:
    Metrics.counter("shuffled", "bytes").inc(sum(map(len, group[1])))


def _grouped(count: int) -> float:
    rows = [((uri(number), None, None), 0) for number in range(min(count, BATCH_SIZE))]
    return len(FastPrimitivesCoder().encode(rows)) / len(rows)
