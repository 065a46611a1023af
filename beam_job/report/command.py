"""The command line of the report."""

from collections.abc import Sequence

from beam_job.messages.invocation import command_parser
from beam_job.report.page import COMPARISON, REPORT
from beam_job.report.run_records import ReportError
from beam_job.report.write import SAMPLE, write_report
from beam_job.runs.record_file import ReplacedError
from beam_job.terminal.streams import escaped, say, show

_EXAMPLES = """examples:
  python -m beam_job.report captions
  python -m beam_job.report captions/run=20260102T030405Z-a1b2c3 --to monday.html
  python -m beam_job.report captions/run=20260102T030405Z-a1b2c3 --compare captions/run=20260109T030405Z-d4e5f6
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Writes a report and prints its path; returns 0, or 2 where there is nothing to report on."""
    description = "Writes one HTML page about the captions, the failures, and the captions to check."
    parser = command_parser("beam_job.report", description, _EXAMPLES)
    parser.add_argument(
        "run",
        metavar="DIR",
        help="a run=<id> folder, or the --output of the job for the current captions of all its runs",
    )
    parser.add_argument("--compare", metavar="DIR", help="a second run or folder to show next to the first")
    parser.add_argument(
        "--to",
        metavar="FILE",
        help=f"the page to write (default: {REPORT} in DIR; with --compare, {COMPARISON.format('NAME')} in the second "
        "folder, where NAME is that of the first; comparisons with two folders of one name replace each other)",
    )
    parser.add_argument("--groups", metavar="FILE", help="also write all groups of copies to this file, as JSON lines")
    parser.add_argument(
        "--sample", type=int, default=SAMPLE, help="maximum number of images on the page (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed of the sample (default: %(default)s)")
    parser.add_argument(
        "--allow_https", action="store_true", help="also fetch pictures from https:// URIs, on any server"
    )
    args = parser.parse_args(argv)
    try:
        written = write_report(
            args.run,
            compare=args.compare,
            to=args.to,
            sample=args.sample,
            seed=args.seed,
            allow_https=args.allow_https,
            groups=args.groups,
        )
    except (ReportError, ReplacedError) as error:
        say(f"beam_job.report: {escaped(str(error))}")
        return 2
    show(escaped(written))
    return 0
