"""Captions images in your own pipeline: `CaptionImages` turns URIs into captions and failures.

    python examples/own_pipeline.py photos/*.jpg

Beam's options may follow, as in `--runner FlinkRunner`.
"""

import argparse

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_job import CaptionImages, Decoding
from beam_job.terminal.console import console


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Captions images in your own Beam pipeline.")
    parser.add_argument("uris", metavar="URI", nargs="+", help="an image; Beam's options may follow the last one")
    known, beam_options = parser.parse_known_args(argv)
    # Hides log messages of Beam and TensorFlow, but not errors, as the job does.
    with console(verbose=False), beam.Pipeline(options=PipelineOptions(beam_options)) as pipeline:
        captioned = (
            pipeline
            | "YourImages" >> beam.Create(known.uris)
            | "Caption" >> CaptionImages(decoding=Decoding("beam", beam_width=3, num_captions=2))
        )
        _ = captioned.captions | "Show" >> beam.Map(
            lambda record: print(record.uri, *(caption.text for caption in record.captions))
        )
        _ = captioned.failures | "ShowFailures" >> beam.Map(
            lambda failure: print(failure.uri, failure.error, failure.message)
        )


if __name__ == "__main__":
    main()
