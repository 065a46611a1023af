"""The ``ModelHandler`` for ``RunInference``: decoded images in, caption records and failures out."""

import functools
import gc
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler

from beam_job import devices
from beam_job.messages import unforeseen
from beam_job.metrics import METRICS, count_failure
from beam_job.model.adaptive_batch import AdaptiveCaptioner, is_of_model, is_out_of_memory
from beam_job.model.decoding import Decoding, decoding_digest
from beam_job.model.directory import DEFAULT_MODEL, OpenModel, open_model
from beam_job.records import CaptionRecord, Captions, DecodedImage, Failure, NoCaption

if TYPE_CHECKING:
    from beam_job.model.captioner import Captioner

ERRORS = {
    "out_of_memory": "The model ran out of memory even with this image alone.",
    "no_caption": "The model finds no caption that the options allow for this image.",
    "inference_failed": "The model failed even with this image alone.",
}
"""The codes that a failure of the stage ``infer`` can have, beside that of all stages, and what they mean."""

Inferred: TypeAlias = CaptionRecord | Failure


class CaptionHandler(ModelHandler[DecodedImage, Inferred, AdaptiveCaptioner]):
    """Captions batches of decoded images with an exported model.

    Args:
      model: the model directory, on any file system that Beam reads; ``None`` for the bundled one.
      fingerprint: the fingerprint that the model must have on the worker, too.
      decoding: the decoding options.
      batch_size: images in a batch; a smaller one, the last of a bundle, is padded.
      require_gpu: fail if TensorFlow finds no GPU.
      full_precision: compute in float32 even where half precision is fast.
    """

    def __init__(
        self,
        model: str | None,
        fingerprint: str,
        decoding: Decoding,
        batch_size: int,
        *,
        require_gpu: bool = False,
        full_precision: bool = False,
    ) -> None:
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size)
        self._model = model
        self._fingerprint = fingerprint
        self._decoding = decoding
        self._digest = decoding_digest(asdict(decoding))
        self._batch_size = batch_size
        self._require_gpu = require_gpu
        self._full_precision = full_precision

    def load_model(self) -> AdaptiveCaptioner:
        """Returns an object that loads the model with the first batch, and traces its graphs on a blank batch."""
        if self._require_gpu:
            devices.require_gpu()

        @functools.cache
        def opened() -> OpenModel:
            return open_model(self._model or DEFAULT_MODEL, fingerprint=self._fingerprint)

        def make(batch_size: int) -> "Captioner":
            collecting = gc.isenabled()
            gc.disable()  # collecting among the millions of objects that loading creates would take two seconds
            try:
                from beam_job.model.captioner import Captioner  # TensorFlow, which takes seconds to import

                captioner = Captioner(opened(), self._decoding, batch_size, full_precision=self._full_precision)
                captioner.warm_up()
            finally:
                if collecting:
                    if not gc.get_freeze_count():  # what the host program has frozen stays so
                        gc.freeze()
                        gc.unfreeze()  # all are old now, and not looked through soon
                    gc.enable()
            return captioner

        return AdaptiveCaptioner(make, self._batch_size)

    def run_inference(
        self,
        batch: Sequence[DecodedImage],
        model: AdaptiveCaptioner,
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[Inferred]:
        """Captions a batch. An image for which the model finds no caption is a failure, at no extra cost.

        If the batch as a whole fails, its halves are tried, so that only an image that fails alone is a failure. One
        such image in 128 takes 15 calls of the same graphs. On a GPU the encoder takes as long for a part as for the
        whole; on a CPU it takes less. Tracing graphs for each smaller size would take seconds per size.

        Raises the error if the model cannot be loaded, or cannot caption even a blank image (because a GPU is lost, for
        example), since the images are not the cause.
        """
        model.load()
        try:
            captions = model.caption([image.pixels for image in batch], [image.uri for image in batch])
            records = [self._record(image, found, model) for image, found in zip(batch, captions, strict=True)]
        except Exception as raised:
            trace = unforeseen.trace_of(raised)
            error = raised.with_traceback(None)  # its frames would keep the batch's memory while the halves need it
        else:
            for record in records:
                _count(record)
            return records
        if len(batch) > 1:
            half = len(batch) // 2
            return [*self.run_inference(batch[:half], model), *self.run_inference(batch[half:], model)]
        failure = self._failed_alone(batch[0], error, trace, model)
        _count(failure)
        return [failure]

    def _record(self, image: DecodedImage, found: Captions | NoCaption, model: AdaptiveCaptioner) -> Inferred:
        if isinstance(found, NoCaption):
            return _failure(image, "no_caption", found.reason)
        return CaptionRecord(
            image.uri,
            image.width,
            image.height,
            model.fingerprint,
            model.device,
            found,
            carried=image.carried,
            content=image.content,
            changed=image.changed,
            decoding=self._digest,
            labels=found.labels,
        )

    def _failed_alone(self, image: DecodedImage, error: Exception, trace: str, model: AdaptiveCaptioner) -> Failure:
        kind, text = type(error).__name__, str(error)
        if is_out_of_memory(error):
            return _failure(image, "out_of_memory", f"{kind}: {text}")
        model.warm_up()
        if is_of_model(error):
            return _failure(image, "inference_failed", f"{kind}: {text}")
        return _failure(image, unforeseen.CODE, unforeseen.logged(image.uri, "infer", kind, text, trace))

    def get_num_bytes(self, batch: Sequence[DecodedImage]) -> int:
        """Bytes of the pixels; the default would pickle the batch to find out."""
        return sum(image.pixels.nbytes for image in batch)

    def get_metrics_namespace(self) -> str:
        return METRICS


def _failure(image: DecodedImage, code: str, message: str) -> Failure:
    if code != unforeseen.CODE:
        # Behind the question mark a signature may stand.
        logging.error("No caption for %s: %s", image.uri.partition("?")[0], message)
    sha256 = image.content.sha256 if image.content else None
    return Failure(image.uri, "infer", code, message, image.carried, sha256, image.earlier)


def _count(record: Inferred) -> None:
    if isinstance(record, Failure):
        count_failure(record)
        return
    Metrics.counter(METRICS, "captioned").inc()
    Metrics.distribution(METRICS, "caption_tokens").update(len(record.captions[0].tokens))
