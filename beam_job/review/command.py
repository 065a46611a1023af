"""The command line of reviews."""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from beam_job.listing.lists import copy_pipes
from beam_job.listing.rows import Fields
from beam_job.listing.uris import named_uris
from beam_job.messages.invocation import command_parser, program
from beam_job.messages.quantity import quantity
from beam_job.messages.quoting import shown
from beam_job.review.add import add_reviews
from beam_job.review.draw import Drawn, draw_least_certain, draw_stratified, take
from beam_job.review.page import MOST_PHOTOS, write_page
from beam_job.runs.archive import Archive, ArchiveError, open_archive
from beam_job.runs.record_file import ReplacedError
from beam_job.runs.reviews import LONGEST
from beam_job.terminal.streams import escaped, say, show

SAMPLE = 200
"""Photos on a page by default."""

_NAMED = 20  # sentences about rows and photos in one message
_PROGRAM = "beam_job.review"
_EXAMPLES = """examples:
  python -m beam_job.review captions
  python -m beam_job.review captions --least_certain 50
  python -m beam_job.review captions --add ~/Downloads/reviews-*.jsonl
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Writes a page, or adds reviews; returns 0, or 2 with a sentence if that is not possible."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        if args.add:
            return _add(args)
        for name in ("sample", "least_certain"):
            number = getattr(args, name)
            if number is not None and not 1 <= number <= MOST_PHOTOS:
                raise ArchiveError(f"--{name} {number}: choose 1 to {MOST_PHOTOS:,} photos.")
        _write(args)
    except (ArchiveError, ReplacedError) as error:
        say(f"{_PROGRAM}: {escaped(str(error))}")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        _PROGRAM,
        "Writes an HTML page for reviewing captions, or adds reviews downloaded from such a page.",
        _EXAMPLES,
    )
    parser.add_argument("output", metavar="DIR", help="the --output of the job")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--sample",
        type=int,
        metavar="N",
        help=f"a random sample of N photos, stratified by score (default: {SAMPLE})",
    )
    which.add_argument("--least_certain", type=int, metavar="N", help="the N photos with the lowest scores")
    which.add_argument("--uris", nargs="+", metavar="LIST", help="the photos in these lists")
    which.add_argument("--add", nargs="+", metavar="FILE", help="add downloaded reviews to DIR/reviews/")
    parser.add_argument(
        "--uri_field",
        metavar="NAME",
        default=Fields.uri,
        help="the column or field of these lists that holds the URI (default: %(default)s)",
    )
    parser.add_argument("--skip_bad", action="store_true", help="with --add: add the good rows even if others are bad")
    parser.add_argument("--to", metavar="FILE", help="the page to write (default: DIR/review-<id>.html)")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the sample (default: %(default)s)")
    parser.add_argument(
        "--allow_https", action="store_true", help="also fetch pictures from https:// URIs, on any server"
    )
    return parser


def _write(args: argparse.Namespace) -> None:
    if not args.uris and args.uri_field != Fields.uri:
        raise ArchiveError("--uri_field: this is about the lists of --uris; give both, or neither.")
    archive = open_archive(args.output)
    _say(archive.reviews.problems)
    drawn = [one for one in _drawn(archive, args) if len(one.record["caption"]) <= LONGEST]
    if not drawn:
        raise ArchiveError(f"{args.output}: there is nothing to review.")
    path, missing = write_page(archive, drawn, args.to, args.allow_https)
    if missing:
        say(f"{_PROGRAM}: {quantity(missing, 'photo')} cannot be shown; the page says why.")
    show(escaped(path))
    show(f"{quantity(len(drawn), 'photo')} to review: open the page in a browser, download the reviews, and then run")
    show(escaped(f"{program(_PROGRAM)} {args.output} --add reviews-*.jsonl"))


def _drawn(archive: Archive, args: argparse.Namespace) -> list[Drawn]:
    """What was asked for, without what is reviewed; in a sample, what was only reviewed by name stays."""
    reviews = archive.reviews.newest if args.least_certain else archive.reviews.sampled
    reviewed = {(review.uri, review.shown) for review in reviews(archive.model, archive.decoding)}

    def is_new(record: dict[str, Any]) -> bool:
        return (record["uri"], record["caption"]) not in reviewed

    if args.uris:
        try:
            with ExitStack() as at_end:
                uris = list(named_uris(args.uris, args.uri_field, copy_pipes(args.uris, at_end)))
        except ValueError as error:
            raise ArchiveError(shown(str(error), 300)) from error
        if len(uris) > MOST_PHOTOS:
            raise ArchiveError(f"--uris names {len(uris):,} photos: choose at most {MOST_PHOTOS:,}.")
        drawn, unknown = take(archive.captions, uris)
        _say([f"{shown(uri)} has no caption in {args.output}; it is left out." for uri in unknown])
        return drawn
    if args.least_certain:
        return draw_least_certain(lambda: filter(is_new, archive.captions()), args.least_certain, args.seed)
    size = args.sample or SAMPLE
    drawn = draw_stratified(archive.captions, size, args.seed)
    new = [one for one in drawn if is_new(one.record)]
    if drawn and not new:
        raise ArchiveError(
            f"{args.output}: all {quantity(len(drawn), 'photo')} of this sample are reviewed. Choose a larger "
            "--sample, or another --seed."
        )
    return new


def _add(args: argparse.Namespace) -> int:
    added = add_reviews(args.output, args.add, args.skip_bad)
    _say(added.bad)
    if added.bad and added.path is None:
        good = quantity(added.new, "other review")
        hint = f" Correct the file, or use --skip_bad to add the {good}." if added.new else ""
        say(f"{_PROGRAM}: nothing was added.{hint}")
        return 2
    _say(added.differing)
    known = f", {added.known:,} were already there" if added.known else ""
    where = f" See {escaped(added.path)}." if added.path else ""
    show(f"{quantity(added.new, 'review')} added{known}.{where}")
    return 0


def _say(sentences: Sequence[str]) -> None:
    for sentence in sentences[:_NAMED]:
        say(f"{_PROGRAM}: {escaped(sentence)}")
    if len(sentences) > _NAMED:
        say(f"{_PROGRAM}: and {len(sentences) - _NAMED:,} more of that kind.")
