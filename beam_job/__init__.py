"""Batch image captioning on Apache Beam: image URIs in, captions out.

In your own pipeline:

    import apache_beam as beam
    from beam_job import CaptionImages, Decoding

    with beam.Pipeline() as pipeline:
        captioned = (
            pipeline
            | beam.Create(["photos/1.jpg", "gs://bucket/2.jpg"])
            | CaptionImages(decoding=Decoding(beam_width=3))
        )
        captioned.captions | "Show" >> beam.Map(lambda record: print(record.uri, record.captions[0].text))
        captioned.failures | "Failed" >> beam.Map(lambda failure: print(failure.uri, failure.message))

``CaptionImages`` and ``Decoding`` are the public interface; everything else may change. They are imported when first
used, and TensorFlow only in the processes that run the model.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_job.model.decoding import Decoding as Decoding
    from beam_job.pipeline import CaptionImages as CaptionImages

__all__ = ["CaptionImages", "Decoding"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "CaptionImages":
        from beam_job.pipeline import CaptionImages

        return CaptionImages
    if name == "Decoding":
        from beam_job.model.decoding import Decoding

        return Decoding
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
