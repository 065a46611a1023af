"""The command line of prunes."""

import argparse
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from apache_beam.io.filesystems import FileSystems

from beam_job.export.export import EXPORTS, XMP
from beam_job.export.outcomes import FAILED
from beam_job.export.tables.published import tables
from beam_job.files.document import UnreadableError
from beam_job.files.switch import SWITCH, SWITCHED, Switch, TakenOverError, finish_earlier, read_switch
from beam_job.images.fetch import CredentialsError
from beam_job.listing.uris import named_uris
from beam_job.messages.invocation import program
from beam_job.messages.quantity import quantity
from beam_job.messages.quoting import shown
from beam_job.prune.books import Book, open_books
from beam_job.prune.gone import AT_ONCE, MissingPlaceError, SilentStorageError, look_for
from beam_job.prune.leftovers import leftovers
from beam_job.prune.options import PROGRAM, check, parse
from beam_job.prune.photo_names import PhotoNames
from beam_job.prune.presence import Presences
from beam_job.prune.prune import (
    ActiveRunError,
    ChangedError,
    Found,
    check_inactive,
    clear,
    find,
    photos,
    remove,
)
from beam_job.runs.folder import CAPTIONS, FAILURES, run_folders
from beam_job.runs.reviews import FOLDER as REVIEWS
from beam_job.terminal.arguments import OptionError
from beam_job.terminal.streams import escaped, say, show

EXIT_FAILED = 1
EXIT_REFUSED = 2

_SECONDS = 20.0  # for one photo
_NAMED = 10  # sentences of one kind


def main(argv: Sequence[str] | None = None) -> int:
    """Prunes a folder, or says what a prune would remove; returns the exit status."""
    args = parse(argv)
    try:
        with ExitStack() as at_end:
            output = check(args, at_end)
            return _prune(output, args, datetime.now(UTC))
    except (ActiveRunError, CredentialsError, MissingPlaceError, OptionError) as error:
        return _fail(error, EXIT_REFUSED)
    except (ChangedError, SilentStorageError, TakenOverError, UnreadableError, OSError) as error:
        return _fail(error, EXIT_FAILED)


def _prune(output: str, args: argparse.Namespace, now: datetime) -> int:
    status = 0
    if args.delete:
        _switch(output)
        left = finish_earlier(output)
        if left is not None:
            show("An earlier prune was interrupted. It was finished.")
            status = max(status, _say_left(left))
    elif (switch := _switch(output)) is not None and switch.state == SWITCHED:
        show("An earlier prune was interrupted; --delete finishes it.")
    runs = run_folders(output)
    books, problems = open_books(output)
    _say(problems)
    try:
        check_inactive(output, books, args.killed, now)
    except ActiveRunError as error:
        if args.delete:
            raise
        say(f"{PROGRAM}: {escaped(str(error))}")
    unwanted = _named(args) if args.uris else _gone(output, books, args.missing, args.renamed)
    found = find(output, books, unwanted)
    _say(found.problems)
    if args.uris:
        _say_unknown(args, found)
    _show(found, output, books, args.delete)
    status = max(status, EXIT_FAILED if problems or found.problems else 0)
    if not args.delete:
        if not found.is_empty:
            show("Nothing was removed: this is a dry run. To remove all this, add --delete. Photos are never deleted.")
        return 0
    if found.is_empty:
        deleted, young, left = clear(output, books, now)
        if deleted or left:
            show(f"{quantity(deleted, 'file')} of interrupted prunes, exports and runs deleted.")
    else:
        left = remove(output, books, found, "named" if args.uris else "gone", now)
        young = leftovers(output, open_books(output)[0], now)[1]
        unseen = problems or found.problems
        removed = "This was removed; what was not looked at may hold more." if unseen else "All this was removed."
        show("No command reads these records any more, but files hold some." if left else removed)
        if args.uris:
            show("Photos are not deleted: if the job still finds these, its next run captions them again.")
    _say([f"{path}: this temporary file is less than a day old; a later prune deletes it." for path in young])
    return max(status, _say_left(left), _say_new_runs(output, runs))


def _switch(output: str) -> Switch | None:
    """What the last prune left; raises ``OptionError`` where nobody can tell."""
    try:
        return read_switch(output)
    except UnreadableError as error:
        raise OptionError(
            f"{FileSystems.join(output, SWITCH)} {error}. Readers pass it over; if no prune is going on, delete it."
        ) from error


def _uris(args: argparse.Namespace) -> Iterator[str]:
    return named_uris(args.uris, args.uri_field, args.copies)


def _named(args: argparse.Namespace) -> PhotoNames:
    unwanted = PhotoNames(args.renamed)
    try:
        for uri in _uris(args):
            unwanted.add(uri)
    except ValueError as error:
        raise OptionError(str(error)) from error
    show(f"{quantity(len(unwanted), 'photo')} in the lists.")
    return unwanted


def _gone(output: str, books: Sequence[Book], missing: Sequence[str], renamed: tuple[str, str] | None) -> PhotoNames:
    looked = look_for(photos(output, books), Presences(AT_ONCE, _SECONDS, tuple(missing)), renamed)
    show(f"{quantity(looked.there, 'photo')} there, {len(looked.gone):,} gone.")
    for reason, number in looked.unclear.most_common(_NAMED):
        show(f"{quantity(number, 'photo')} in doubt, not removed: {escaped(reason)}.")
    return looked.gone


def _show(found: Found, output: str, books: Sequence[Book], delete: bool) -> None:
    for uri, caption in found.examples.items():
        show(f"{shown(uri, 300)}\t{shown(caption, 300)}")
    if len(found.seen) > len(found.examples):
        show(f"... and {len(found.seen) - len(found.examples):,} more.")
    if found.is_empty:
        show("There are no records to remove.")
        return
    captions, failures, reviews = (found.counts[kind] for kind in (CAPTIONS, FAILURES, REVIEWS))
    show(
        f"To remove: {quantity(captions, 'caption')}, {quantity(failures, 'failure')} and "
        f"{quantity(reviews, 'review')} of {quantity(len(found.seen), 'photo')}."
    )
    for page in found.pages:
        show(f"{shown(page.path, 300)} shows these photos in {page.photos:,} of its entries.")
    for path in tables(FileSystems.join(output, EXPORTS)):
        show(f"{shown(path, 300)} was exported before, and may name these photos: export it again afterwards.")
    if _has_sidecars(books):
        show(
            "Prunes do not remove sidecars that exports wrote: delete those beside these photos together with the "
            "photos."
        )
        if not delete:
            undo = f"{program('beam_job.export')} {shlex.quote(output)} --to {XMP} --undo"
            show(f"Or, before you add --delete, take all sidecars back: `{escaped(undo)}`.")


def _has_sidecars(books: Sequence[Book]) -> bool:
    """Whether exports wrote sidecars, and the last one, dry runs aside, did not take all of them back."""
    left = False
    for book in sorted(books, key=lambda book: book.name):
        options = book.says.get("options")
        if not book.is_run and isinstance(options, dict) and options.get("to") == XMP and not options.get("dry_run"):
            counts = book.says.get("counts")
            failed = book.says.get("passed_over") or (isinstance(counts, dict) and counts.get(FAILED))
            left = not options.get("undo") or (left and bool(failed))
    return left


def _say_unknown(args: argparse.Namespace, found: Found) -> None:
    unknown = 0
    for uri in _uris(args):
        if uri not in found.seen:
            unknown += 1
            if unknown <= _NAMED:
                say(f"{PROGRAM}: {shown(uri, 300)} has no record here.")
    if unknown > _NAMED:
        say(f"{PROGRAM}: nor have {unknown - _NAMED:,} more.")


def _say_left(left: dict[str, object]) -> int:
    """Says which files could not be deleted; returns the exit status."""
    _say(
        [
            f"{path} cannot be deleted ({reason}). No reader looks at it, but it holds what was removed."
            for path, reason in left.items()
        ]
    )
    return EXIT_FAILED if left else 0


def _say_new_runs(output: str, runs: Sequence[str]) -> int:
    """Says which runs have begun since the folder was looked at; returns the exit status."""
    new = [path for path in run_folders(output) if path not in runs]
    _say(
        [
            f"{path} began meanwhile, and may have copied what was removed: prune again when it has ended."
            for path in new
        ]
    )
    return EXIT_FAILED if new else 0


def _say(sentences: Sequence[str]) -> None:
    for sentence in sentences[:_NAMED]:
        say(f"{PROGRAM}: {escaped(sentence)}")
    if len(sentences) > _NAMED:
        say(f"{PROGRAM}: and {len(sentences) - _NAMED:,} more of that kind.")


def _fail(error: Exception, status: int) -> int:
    say(f"{PROGRAM}: {escaped(str(error))}")
    return status
