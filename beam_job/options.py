"""The options of the job, in Beam's own style, and everything that is checked before work starts."""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import PipelineOptions

from beam_job.decoding import STRATEGIES, Decoding

_DEFAULTS = Decoding()


class OptionError(ValueError):
    """A wrong option; the message is one sentence that says what to do."""


class CaptionOptions(PipelineOptions):
    """Options of the captioning job; Beam's own options may stand beside them."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        job = parser.add_argument_group("captioning")
        job.add_argument("--images", nargs="+", default=[], metavar="GLOB", help="Image files, by globs.")
        job.add_argument("--uris", nargs="+", default=[], metavar="LIST", help="Text files with one image URI a line.")
        job.add_argument("--output", metavar="DIR", help="Collects runs: this one writes to DIR/run=<id>/.")
        job.add_argument("--model", metavar="DIR", help="An exported model (default: the one in this package).")
        job.add_argument("--batch_size", type=int, default=32, help="Images in a batch (default: %(default)s).")
        job.add_argument(
            "--fetch_threads",
            type=int,
            default=8,
            help="Images that each worker process fetches and decodes at a time (default: %(default)s).",
        )
        job.add_argument("--print_captions", action="store_true", help="Print the captions when the run has ended.")

        decoding = parser.add_argument_group("decoding")
        decoding.add_argument("--decoding", choices=STRATEGIES, default=_DEFAULTS.strategy, help="default: %(default)s")

        def add(name: str, kind: type, text: str) -> None:
            decoding.add_argument(
                f"--{name}", type=kind, default=getattr(_DEFAULTS, name), help=f"{text} (default: %(default)s)."
            )

        add("num_captions", int, "Distinct captions for each image, best first")
        add("beam_width", int, "Hypotheses that beam search keeps")
        add("length_penalty", float, "Beam search ranks by log-probability / tokens ** length_penalty")
        add("temperature", float, "Divides the logits before sampling")
        add("top_k", int, "Sample from the k likeliest tokens only; 0: from all")
        add("top_p", float, "Sample from the fewest tokens whose probabilities reach p")
        add("seed", int, "Decides every draw, together with the image's URI")
        add("max_length", int, "Tokens of a caption at most; 0: the model's own limit")
        add("min_length", int, "Words of a caption at least")
        add("no_repeat_ngram", int, "Never repeat a run of that many words; 0: allow it")
        decoding.add_argument(
            "--attention", action="store_true", help="Record each word's log-probability and attention (large)."
        )

    def to_decoding(self) -> Decoding:
        """The decoding options; raises ``OptionError``."""
        found = {field.name: getattr(self, field.name, None) for field in fields(Decoding)}
        try:
            return Decoding(**{**found, "strategy": self.decoding})
        except ValueError as error:
            raise OptionError(str(error)) from error


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message}. See --help.")


def parse(argv: Sequence[str]) -> CaptionOptions:
    """Parses the command line, with Beam's own options; raises ``OptionError``.

    Beam itself drops what it does not know with a warning; a mistyped option must not start a job.
    """
    parser = _Parser(prog="python -m beam_job", allow_abbrev=False, conflict_handler="resolve", add_help=False)
    for options in _subclasses(PipelineOptions):
        options._add_argparse_args(parser)  # noqa: SLF001
    _, unknown = parser.parse_known_args(argv)
    if unknown:
        raise OptionError(f"{' '.join(unknown)}: there is no such option. See --help.")
    return PipelineOptions(list(argv)).view_as(CaptionOptions)


def help_text() -> str:
    """What ``--help`` prints: the job's own options; Beam's are in its documentation."""
    parser = argparse.ArgumentParser(
        prog="python -m beam_job",
        description="Captions images: reads URIs, writes JSON lines.",
        epilog="Beam's own options (--runner, --project, --temp_location, ...) are passed on to it.",
        add_help=False,
    )
    CaptionOptions._add_argparse_args(parser)  # noqa: SLF001
    return parser.format_help()


def _subclasses(options: type) -> list[Any]:
    return [found for child in options.__subclasses__() for found in (child, *_subclasses(child))]
