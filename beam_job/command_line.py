"""The command line of the job: its arguments, which become options of Beam's, and its help."""

import argparse
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions

from beam_job.messages.invocation import program
from beam_job.options import CaptionOptions
from beam_job.terminal.arguments import beams_parser, check_template, check_text, check_unknown, plain_switches

_EXAMPLES = """examples:
  python -m beam_job --images 'photos/*.jpg' --output captions --report
  python -m beam_job --uris archive.csv --uri_field path --carry id,album --output captions --max_failures 1%
  find photos -name '*.jpg' | python -m beam_job --uris - --output captions
  python -m beam_job --images 'photos/*.jpg' --output captions --decoding sample --num_captions 3 --seed 7
  python -m beam_job --uris gs://bucket/list.txt --output gs://bucket/captions --runner DataflowRunner \\
      --project my-project --region europe-west4 --temp_location gs://bucket/tmp

Beam's own options (--runner, --project, --temp_location, ...) work too.
Run the same command again to resume after an interruption, or to caption new images: captioned images are skipped.
Exit status: 0 done, 1 failed, 2 refused before any work, 3 done but more failures than --max_failures, 130 stopped by
Ctrl-C, 143 stopped by SIGTERM.
"""

_WHERE_NOT_TEXT = (
    "Rename the file or folder; or list its images with --uris, as file:///PATH with %XX for each such byte."
)
_TEMPLATE = "one run, and delete each other's captions; write a Flex Template with `./run_dataflow.sh template`."


def parse(argv: Sequence[str], *, launcher: bool = False) -> CaptionOptions:
    """Parses the command line, with Beam's own options; raises ``OptionError``.

    Beam itself drops unknown options with a warning, but a mistyped option must not start a job. A switch may also be
    written ``--recaption=true`` or ``=false``, as a Flex Template does.

    Args:
      argv: the command line.
      launcher: it comes from the launcher of a Flex Template. The launcher adds options of its own, more with every
        year, and these are dropped: the template's metadata has checked what came from people.
    """
    check_text(argv, _WHERE_NOT_TEXT)
    parser = beams_parser()
    argv = [_Argument(arg) for arg in plain_switches(argv, parser)]
    known, unknown = parser.parse_known_args(argv)
    if launcher:
        argv, unknown = _without_options(argv, unknown)
    else:
        check_template(known, _TEMPLATE)
    check_unknown(unknown, parser)
    return PipelineOptions([str(arg) for arg in argv]).view_as(CaptionOptions)


class _Argument(str):
    """An argument that is told from another of the same text."""

    __slots__ = ()


def _without_options(argv: Sequence[str], unknown: Sequence[str]) -> tuple[list[str], list[str]]:
    """Drops the options among ``unknown``, each with the values behind it; returns what is left of both."""
    places = {id(arg) for arg in unknown}
    kept: list[str] = []
    stray: list[str] = []
    dropping = False
    for arg in argv:
        is_unknown = id(arg) in places
        dropping = is_unknown and (dropping or arg.startswith("-"))
        if not is_unknown:
            kept.append(arg)
        elif not dropping:
            stray.append(arg)
    return kept, stray


def help_text() -> str:
    """What ``--help`` prints: the job's own options; Beam's are in its documentation."""
    name = program("beam_job")
    parser = argparse.ArgumentParser(
        prog=name,
        usage=f"{name} (--images GLOB ... | --uris LIST ...) --output DIR [options] [Beam's own options]",
        description="Captions images: reads URIs, and writes captions, failures and a manifest with their counts.",
        epilog=_EXAMPLES.replace("python -m beam_job", name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    CaptionOptions._add_argparse_args(parser)  # noqa: SLF001
    return parser.format_help()
