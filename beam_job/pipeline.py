"""The pipeline on one screen: image URIs in; captions, failures and a manifest out."""

from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference
from apache_beam.pvalue import AsDict, AsIter, AsSingleton
from apache_beam.transforms.combiners import Count

from beam_job.decoding import Decoding
from beam_job.handler import CaptionHandler
from beam_job.images import FAILURES, FetchAndDecode
from beam_job.model_directory import DEFAULT_MODEL, read_manifest
from beam_job.records import CaptionRecord, Failure
from beam_job.run import Run
from beam_job.shards import WriteShards
from beam_job.uris import ReadUris


class Captioned(NamedTuple):
    """What becomes of image URIs: each is in one of the two."""

    captions: beam.PCollection[CaptionRecord]
    failures: beam.PCollection[Failure]


class CaptionImages(beam.PTransform):
    """Captions images: ``PCollection[str]`` of URIs to ``Captioned``.

    Args:
      model: an exported model directory; ``None`` takes the one in this package.
      decoding: how to decode.
      batch_size: images that the model takes at a time.
      fetch_threads: images that each worker process fetches and decodes at a time.

    Raises:
      ModelError: the model cannot be used.
    """

    def __init__(
        self,
        model: str | None = None,
        decoding: Decoding = Decoding(),
        batch_size: int = 32,
        fetch_threads: int = 8,
    ) -> None:
        super().__init__()
        manifest = read_manifest(model or DEFAULT_MODEL)
        decoding.longest(manifest.max_caption_length)
        self._load = FetchAndDecode(manifest.image.height, manifest.image.width, fetch_threads)
        self._handler = CaptionHandler(model, manifest.fingerprint, decoding, batch_size)

    def expand(self, uris: beam.PCollection[str]) -> Any:  # Captioned, which Beam's type hints don't know
        loaded = (
            uris
            | "ReshuffleUris" >> beam.Reshuffle()
            | "FetchAndDecode" >> beam.ParDo(self._load).with_outputs(FAILURES, main="images")
        )
        inferred = (
            loaded.images
            | "RunInference" >> RunInference(self._handler)
            | "SplitFailures" >> beam.Partition(lambda record, _: int(isinstance(record, Failure)), 2)
        )
        return Captioned(inferred[0], (loaded[FAILURES], inferred[1]) | "AllFailures" >> beam.Flatten())


def build(pipeline: beam.Pipeline, run: Run, images: list[str], lists: list[str], caption_images: CaptionImages) -> None:
    """Puts a whole run into ``pipeline``; the manifest is written when all else is."""
    listed = pipeline | "ReadUris" >> ReadUris(images, lists)
    unique = listed | "DropDuplicates" >> beam.Distinct()
    captions, failures = unique | "CaptionImages" >> caption_images
    caption_files = captions | "WriteCaptions" >> beam.ParDo(WriteShards(run.directory, "captions"))
    failure_files = failures | "WriteFailures" >> beam.ParDo(WriteShards(run.directory, "failures"))
    codes = failures | "Codes" >> beam.Map(lambda failure: f"{failure.stage}/{failure.error}")
    devices = captions | "Devices" >> beam.Map(lambda record: record.device)
    (
        pipeline
        | "Run" >> beam.Create([run])
        | "WriteManifest"
        >> beam.Map(
            Run.finish,
            AsSingleton(listed | "CountListed" >> Count.Globally()),
            AsSingleton(unique | "CountUnique" >> Count.Globally()),
            AsIter(caption_files),
            AsIter(failure_files),
            AsDict(codes | "CountByCode" >> Count.PerElement()),
            AsIter(devices | "DistinctDevices" >> beam.Distinct()),
        )
    )
