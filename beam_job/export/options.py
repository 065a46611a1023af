"""The options of an export, and all checks before work starts."""

import argparse
import math
from collections.abc import Sequence

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from beam_job.export.export import XMP
from beam_job.export.tables.write import CSV, PARQUET
from beam_job.export.xmp.places import ADOBE, FULL
from beam_job.images.local_path import local_path
from beam_job.messages.invocation import program
from beam_job.messages.quoting import shown
from beam_job.messages.share import parse_share
from beam_job.runs.run import MaxFailures
from beam_job.terminal.arguments import (
    OptionError,
    Parser,
    beams_parser,
    check_template,
    check_text,
    check_unknown,
    plain_switches,
)

_EXAMPLES = """examples:
  python -m beam_job.export captions --to xmp --dry_run
  python -m beam_job.export captions --to xmp --sidecar adobe --min_score 0.5
  python -m beam_job.export captions --to xmp --undo
  python -m beam_job.export captions --to csv --output captions.csv
  python -m beam_job.export gs://bucket/captions --to parquet --runner DataflowRunner \\
      --project my-project --region europe-west4 --temp_location gs://bucket/tmp \\
      --setup_file ./setup.py

Beam's own options (--runner, --project, --temp_location, ...) work too.
Exit status: 0 done, 1 failed or not all runs were read for --undo, 2 refused before any work, 3 done but more failures
than --max_failures, 130 stopped by Ctrl-C, 143 by SIGTERM.
"""


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, PipelineOptions]:
    """The export's options and Beam's; raises ``OptionError``."""
    check_text(argv, "Rename the file or folder.")
    own, beams = _parser(), beams_parser()
    options, rest = own.parse_known_args(plain_switches(argv, own, beams))
    known, unknown = beams.parse_known_args(rest)
    check_unknown(unknown, own, beams)
    check_template(known, "one export; call this command for each export.")
    _check(options)
    return options, PipelineOptions(rest)


def help_text() -> str:
    """What ``--help`` prints."""
    return _parser().format_help()


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=program("beam_job.export"),
        usage=f"{program('beam_job.export')} DIR --to xmp|csv|parquet [options] [Beam's own options]",
        description="Exports captions: to XMP sidecars beside the photos, to a spreadsheet, or to Parquet.",
        epilog=_EXAMPLES.replace("python -m beam_job.export", program("beam_job.export")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("directory", metavar="DIR", help="The folder that the job was given as --output.")
    parser.add_argument(
        "--to",
        choices=(XMP, CSV, PARQUET),
        required=True,
        help="xmp: a sidecar beside each photo. csv: a spreadsheet. parquet: a table for data tools.",
    )
    parser.add_argument(
        "--output", metavar="PATH", help="The file of csv or parquet (default: DIR/captions.csv, DIR/captions.parquet)."
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="Also replace what exports have not written: descriptions in sidecars, or the file at PATH.",
    )
    parser.add_argument(
        "--max_failures", metavar="N", help="Exit with status 3 if more captions fail: a number (100) or a share (5%%)."
    )
    parser.add_argument("--verbose", action="store_true", help="Show log messages of Beam.")
    which = parser.add_argument_group(
        "which captions", "Those of the newest run's model and decoding. Captions marked as wrong are never exported."
    )
    which.add_argument("--model", metavar="FINGERPRINT", help="The captions of this model instead.")
    which.add_argument("--run", metavar="ID", help="The captions of this run's model and decoding instead.")
    which.add_argument(
        "--min_score",
        type=float,
        metavar="SCORE",
        help="Only captions with at least this score, such as 0.5, and those that a person confirmed or corrected.",
    )
    which.add_argument(
        "--at_least",
        metavar="90%",
        help="Only captions with at least this chance of being right, and those that a person confirmed or corrected. "
        f"The chances are in DIR/trust.json, which `{program('beam_job.trust')} DIR` writes.",
    )
    sidecars = parser.add_argument_group("with --to xmp")
    sidecars.add_argument(
        "--sidecar",
        choices=(ADOBE, FULL),
        help="How sidecars are called: photo.xmp (adobe) or photo.jpg.xmp (full; the default).",
    )
    sidecars.add_argument(
        "--keywords",
        metavar="FIELD",
        help="Also write keywords (dc:subject), from a field that --carry named, or the labels (labels).",
    )
    sidecars.add_argument("--undo", action="store_true", help="Take back all that exports have written to sidecars.")
    sidecars.add_argument("--dry_run", action="store_true", help="Write no sidecar: count, and show ten.")
    return parser


def _check(options: argparse.Namespace) -> None:
    if options.max_failures is not None:
        MaxFailures.parse(options.max_failures)
    for name in ("directory", "output"):
        path = getattr(options, name)
        try:
            setattr(options, name, path and local_path(path))
        except ValueError as error:
            raise OptionError(f"{path}: {error}") from error
    if options.to == XMP:
        if options.output:
            raise OptionError("--output: sidecars are written next to the photos; drop this option.")
    else:
        for name in ("sidecar", "keywords", "undo", "dry_run"):
            if getattr(options, name):
                raise OptionError(f"--{name} is for --to {XMP}.")
        options.output = options.output or FileSystems.join(options.directory, f"captions.{options.to}")
    if options.undo:
        for name in ("model", "run", "min_score", "at_least", "keywords", "overwrite", "sidecar"):
            if getattr(options, name) is not None and getattr(options, name) is not False:
                raise OptionError(
                    f"--{name}: --undo reverts everything that was written to sidecars; drop this option."
                )
    if options.run is not None and options.model is not None:
        raise OptionError("--run, --model: a run has one model; drop one of them.")
    if options.min_score is not None and not math.isfinite(options.min_score):
        raise OptionError(f"--min_score {options.min_score}: choose a score, such as 0.5.")
    options.run = options.run and options.run.removeprefix("run=")  # its folder is called so
    options.sidecar = options.sidecar or FULL
    if options.at_least is not None:
        try:
            options.at_least = parse_share(options.at_least)
        except ValueError as error:
            raise OptionError(
                f"--at_least {shown(options.at_least, 40)}: choose a share, such as 90% or 0.9."
            ) from error
