"""The ``ModelHandler`` that ``RunInference`` drives: decoded images in, caption records and failures out."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from apache_beam.ml.inference.base import ModelHandler

from beam_job.decoding import Decoding
from beam_job.model_directory import DEFAULT_MODEL, open_model
from beam_job.records import CaptionRecord, DecodedImage, Failure

if TYPE_CHECKING:  # TensorFlow takes seconds to import, and only the workers need it.
    from beam_job.captioner import Captioner

Inferred: TypeAlias = CaptionRecord | Failure


class CaptionHandler(ModelHandler[DecodedImage, Inferred, "Captioner"]):
    """Captions batches of decoded images with an exported model.

    Args:
      model: the model directory, on any file system that Beam reads; ``None`` takes the one in this package.
      fingerprint: the fingerprint that the model must have on the worker, too.
      decoding: how to decode.
      batch_size: images in a batch; a smaller one, the last of a bundle, is padded.
    """

    def __init__(self, model: str | None, fingerprint: str, decoding: Decoding, batch_size: int) -> None:
        super().__init__(min_batch_size=batch_size, max_batch_size=batch_size)
        self._model = model
        self._fingerprint = fingerprint
        self._decoding = decoding
        self._batch_size = batch_size

    def load_model(self) -> "Captioner":
        """Loads the model and captions a blank batch, so that no image waits for the graph to be traced."""
        from beam_job.captioner import Captioner

        captioner = Captioner(
            open_model(self._model or DEFAULT_MODEL, fingerprint=self._fingerprint), self._decoding, self._batch_size
        )
        captioner.warm_up()
        return captioner

    def run_inference(
        self,
        batch: Sequence[DecodedImage],
        model: "Captioner",
        inference_args: Mapping[str, Any] | None = None,
    ) -> list[Inferred]:
        """Captions a batch. Where that fails, its halves are tried: only an image that fails alone is a failure."""
        try:
            captions = model.caption([image.pixels for image in batch], [image.uri for image in batch])
        except Exception as error:
            if len(batch) == 1:
                logging.exception("No caption for %s", batch[0].uri)
                return [Failure(batch[0].uri, "infer", "inference_failed", f"{type(error).__name__}: {error}")]
            half = len(batch) // 2
            return [*self.run_inference(batch[:half], model), *self.run_inference(batch[half:], model)]
        return [
            CaptionRecord(image.uri, image.width, image.height, model.fingerprint, model.device, found)
            for image, found in zip(batch, captions, strict=True)
        ]

    def get_num_bytes(self, batch: Sequence[DecodedImage]) -> int:
        """Bytes of the pixels; the default would pickle the batch to find out."""
        return sum(image.pixels.nbytes for image in batch)

    def get_metrics_namespace(self) -> str:
        return "CaptionImages"
