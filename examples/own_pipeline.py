"""Captions inside a pipeline of your own: `CaptionImages` takes URIs and gives captions and failures.

    python examples/own_pipeline.py photos/*.jpg

Beam's options may follow, as in `--runner FlinkRunner`.
"""

import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_job.decoding import Decoding
from beam_job.pipeline import CaptionImages


def main(argv: list[str]) -> None:
    uris = [argument for argument in argv if not argument.startswith("--")]
    options = PipelineOptions([argument for argument in argv if argument.startswith("--")])
    with beam.Pipeline(options=options) as pipeline:
        captions, failures = (
            pipeline
            | "YourImages" >> beam.Create(uris)
            | "Caption" >> CaptionImages(decoding=Decoding("beam", beam_width=3, num_captions=2))
        )
        _ = captions | "Show" >> beam.Map(
            lambda record: print(record.uri, *(caption.text for caption in record.captions))
        )
        _ = failures | "ShowFailures" >> beam.Map(lambda failure: print(failure.uri, failure.error, failure.message))


if __name__ == "__main__":
    main(sys.argv[1:])
