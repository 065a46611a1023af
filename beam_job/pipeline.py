"""The pipeline on one screen: image URIs in; captions, failures and a manifest out."""

from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference
from apache_beam.pvalue import AsIter

from beam_job.batching import ReshuffleInGroups
from beam_job.devices import BATCH_SIZE
from beam_job.images.load import FAILURES, UNCHANGED, FetchAndDecode, Loading
from beam_job.listing.uris import ReadUris
from beam_job.model.decoding import Decoding
from beam_job.model.directory import DEFAULT_MODEL
from beam_job.model.handler import CaptionHandler
from beam_job.model.manifest import read_manifest
from beam_job.records import CaptionRecord, CopiedCaption, Failure
from beam_job.runs.earlier.copies import copy_caption
from beam_job.runs.earlier.known import ReadEarlier
from beam_job.runs.earlier.recheck import Recheck
from beam_job.runs.earlier.take import TakeNew
from beam_job.runs.merge import MergeShards
from beam_job.runs.run import Run
from beam_job.runs.shards import Shard, ShardLimits, WriteShards


class Captioned(NamedTuple):
    """The results of ``CaptionImages``: each URI is in one of the three; ``copies`` needs known earlier captions."""

    captions: beam.PCollection[CaptionRecord]
    failures: beam.PCollection[Failure]
    copies: beam.PCollection[CopiedCaption]


class CaptionImages(beam.PTransform):
    """Captions images: a ``PCollection`` of URIs to ``Captioned``, its captions and failures.

        captioned = uris | CaptionImages(decoding=Decoding(beam_width=3))
        captioned.captions | beam.Map(lambda record: (record.uri, record.captions[0].text, record.captions[0].score))
        captioned.failures | beam.Map(lambda failure: (failure.uri, failure.error, failure.message))

    Takes URIs (paths, ``gs://`` and, if ``loading`` allows it, ``https://``), or pairs of a URI and a dictionary of
    fields that its record carries. A third part may be the image's earlier failure (``EarlierFailure`` or ``None``), a
    fourth and a fifth its version and its earlier captions (``EarlierCaption``): if its bytes are those of one of
    them, that record is copied to ``copies``.

    Process-wide effects, in the processes that load the model: TensorFlow takes one GPU, with memory growth, and mixed
    precision is switched on where the GPU supports it (not with ``full_precision``); garbage collection pauses while
    the model loads. On a machine without GPUs only the pause remains.

    Args:
      model: an exported model directory; ``None`` for the bundled one.
      decoding: how to decode.
      batch_size: number of images in a batch.
      loading: how images are fetched and decoded.
      require_gpu: fail on a worker where TensorFlow sees no GPU.
      full_precision: compute in float32 even where half precision is fast.

    Raises:
      ModelError: the model cannot be used.
      ValueError: ``decoding`` asks for longer captions than the model has.
    """

    def __init__(
        self,
        model: str | None = None,
        decoding: Decoding = Decoding(),
        batch_size: int = BATCH_SIZE,
        loading: Loading = Loading(),
        *,
        require_gpu: bool = False,
        full_precision: bool = False,
    ) -> None:
        super().__init__()
        manifest = read_manifest(model or DEFAULT_MODEL)
        decoding.longest(manifest.max_caption_length)
        self._batch_size = batch_size
        self._load = FetchAndDecode(manifest.image.height, manifest.image.width, loading, ahead=batch_size)
        self._handler = CaptionHandler(
            model, manifest.fingerprint, decoding, batch_size, require_gpu=require_gpu, full_precision=full_precision
        )

    def expand(self, uris: beam.PCollection) -> Any:  # Captioned, which Beam's type hints don't know
        loaded = (
            uris
            | "ReshuffleUris" >> ReshuffleInGroups(self._batch_size)
            | "FetchAndDecode" >> beam.ParDo(self._load).with_outputs(FAILURES, UNCHANGED, main="images")
        )
        inferred = (
            loaded.images
            | "RunInference" >> RunInference(self._handler)
            | "SplitFailures" >> beam.Partition(lambda record, _: int(isinstance(record, Failure)), 2)
        )
        copied = loaded[UNCHANGED] | "CopyCaptions" >> beam.Map(copy_caption)
        return Captioned(inferred[0], (loaded[FAILURES], inferred[1]) | "AllFailures" >> beam.Flatten(), copied)


def build(
    pipeline: beam.Pipeline,
    run: Run,
    read_uris: ReadUris,
    read_earlier: ReadEarlier,
    caption_images: CaptionImages,
    limits: ShardLimits = ShardLimits(),
    recheck: Recheck | None = None,
) -> beam.PCollection[dict[str, Any]]:
    """Adds a whole run to ``pipeline``; returns its manifest, which is written last."""
    listed = pipeline | "ReadUris" >> read_uris
    earlier = pipeline | "ReadEarlier" >> read_earlier
    new = (listed.uris, listed.bad, earlier.known) | "TakeNew" >> TakeNew(recheck)
    captions, failures, copies = new.uris | "CaptionImages" >> caption_images
    failures = (failures, new.failures) | "FailuresAndBadRows" >> beam.Flatten()
    # Each is written where it is made: runners hold back what they flatten, and a kill would cost all of it.
    caption_files = captions | "WriteCaptions" >> beam.ParDo(WriteShards(run.directory, "captions", limits))
    moved = new.renamed | "CopyRenamed" >> beam.Map(copy_caption)
    moved_files = moved | "WriteRenamed" >> beam.ParDo(WriteShards(run.directory, "captions", limits))
    copy_files = copies | "WriteCopies" >> beam.ParDo(WriteShards(run.directory, "captions", limits))
    failure_files = failures | "WriteFailures" >> beam.ParDo(WriteShards(run.directory, "failures", limits))
    files = (caption_files, copy_files, moved_files, failure_files) | "Files" >> beam.Flatten()
    return write_manifest(pipeline, run, listed.read, new.counts, earlier.passed_over, files, listed.left_out, limits)


def write_manifest(
    pipeline: beam.Pipeline,
    run: Run,
    read: beam.PCollection[int],
    compared: beam.PCollection[tuple[int, int, int]],
    passed_over: beam.PCollection[int],
    files: beam.PCollection[Shard],
    left_out: beam.PCollection[int],
    limits: ShardLimits = ShardLimits(),
) -> beam.PCollection[dict[str, Any]]:
    """Adds a run's last steps: small files are merged, counts checked, and the manifest is written.

    The collections are the arguments of ``Run.finish``, with all files in one.
    """
    merged = files | "MergeFiles" >> MergeShards(run.directory, limits)
    captions, failures = merged | "CaptionsAndFailures" >> beam.Partition(
        lambda shard, _: int(shard.prefix == "failures"), 2
    )
    return (
        pipeline
        | "Run" >> beam.Create([run])
        | "WriteManifest"
        >> beam.Map(
            Run.finish,
            read=AsIter(read),
            compared=AsIter(compared),
            passed_over=AsIter(passed_over),
            captions=AsIter(captions),
            failures=AsIter(failures),
            left_out=AsIter(left_out),
        )
    )
