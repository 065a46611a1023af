"""The options of a prune, and all checks before records are read."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack

from beam_job.images.local_path import local_path
from beam_job.listing.lists import copy_pipes
from beam_job.listing.rows import Fields
from beam_job.listing.uris import absolute, renamed_prefixes
from beam_job.messages.invocation import command_parser
from beam_job.messages.quoting import shown
from beam_job.runs.folder import run_folders
from beam_job.terminal.arguments import OptionError

PROGRAM = "beam_job.prune"
_EXAMPLES = """examples:
  python -m beam_job.prune captions
  python -m beam_job.prune captions --delete
  python -m beam_job.prune captions --uris requests.txt --delete
  python -m beam_job.prune captions --rename_from /mnt/photos/ --rename_to gs://archive/photos/

Exit status: 0 done, 1 failed or not all could be deleted, 2 refused before anything was removed.
"""


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of a command line, not yet checked."""
    description = (
        "Removes captions, failures, reviews and page entries of photos that are gone, or that a list names.\n"
        "The photos themselves are never deleted. Without --delete the command only says what it would remove."
    )
    parser = command_parser(PROGRAM, description, _EXAMPLES)
    parser.add_argument("output", metavar="DIR", help="the --output of the job")
    parser.add_argument("--delete", action="store_true", help="remove them; without this option nothing changes")
    parser.add_argument(
        "--uris",
        nargs="+",
        metavar="LIST",
        help="remove what is known of the photos that these lists name, whether or not the photos still exist, and "
        "of no others",
    )
    parser.add_argument(
        "--uri_field",
        metavar="NAME",
        default=Fields.uri,
        help="the column or field of these lists that holds the URI (default: %(default)s)",
    )
    parser.add_argument(
        "--missing",
        nargs="+",
        metavar="PLACE",
        default=[],
        help="folders and buckets whose missing photos are really gone: they count as gone even if most are missing, "
        "or if a disk may not be mounted",
    )
    parser.add_argument("--rename_from", metavar="PREFIX", help="old prefix of a moved archive")
    parser.add_argument("--rename_to", metavar="PREFIX", help="its new prefix, under which photos are looked for")
    parser.add_argument(
        "--killed",
        nargs="+",
        metavar="RUN",
        default=[],
        help="runs without a manifest that you know have ended; others block a prune for a day after their last file",
    )
    return parser.parse_args(argv)


def check(args: argparse.Namespace, at_end: ExitStack) -> str:
    """The folder, once the options are in order, with names as the job writes them; raises ``OptionError``.

    Lists that are pipes are copied to files, which are deleted when ``at_end`` is closed.
    """
    try:
        args.renamed = renamed_prefixes(args.rename_from, args.rename_to)
    except ValueError as error:
        raise OptionError(str(error)) from error
    if not args.uris and args.uri_field != Fields.uri:
        raise OptionError("--uri_field: this is about the lists of --uris; give both, or neither.")
    if args.uris and args.missing:
        raise OptionError("--missing: what --uris names is removed wherever it is; drop one of the two.")
    args.missing = [absolute(_local(place)) for place in args.missing]
    output = _local(args.output)
    if "://" in output and not output.startswith("gs://"):
        raise OptionError(f"{shown(output)}: only folders on disks and on gs:// can be pruned.")
    output = output.rstrip("/") if "://" in output else absolute(output)
    try:
        found = run_folders(output)
    except Exception as error:  # file systems raise what they like
        raise OptionError(f"{shown(output)}: cannot be listed ({shown(str(error), 300)}).") from error
    if not found:
        raise OptionError(f"{shown(output)}: there is no run here; name the folder that was given as --output.")
    try:
        args.copies = copy_pipes(args.uris or [], at_end)
    except ValueError as error:
        raise OptionError(str(error)) from error
    return output


def _local(name: str) -> str:
    try:
        return local_path(name)
    except ValueError as error:
        raise OptionError(f"{shown(name)}: {error}") from error
