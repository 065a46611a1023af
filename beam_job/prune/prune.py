"""A prune, step by step: what it would remove, and the removal, which is whole or not at all.

New files are written beside the old ones; one switch makes all of them count (``beam_job.files.switch``).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import UnreadableError, read_bytes, read_document
from beam_job.files.in_folder import delete_files, files_in
from beam_job.files.switch import SWITCHED, Switch, begin, commit, complete
from beam_job.files.whole import write_whole
from beam_job.prune.books import Book, Rewritten, open_books, pruned_document
from beam_job.prune.leftovers import SETTLED, last_written, leftovers
from beam_job.prune.pages import Page, page_without, pages
from beam_job.prune.photo_names import PhotoNames
from beam_job.prune.record_files import described, rewrite, rows, without
from beam_job.runs.folder import CAPTIONS, FAILURES, PRUNED, open_run_folder, run_folders
from beam_job.runs.reviews import FOLDER as REVIEWS
from beam_job.runs.reviews import review_files
from beam_job.runs.run import new_id

_SHOWN = 10


class ActiveRunError(ValueError):
    """A run may still be writing into the folder; the message says which, and what to do."""


class ChangedError(RuntimeError):
    """Somebody wrote into the folder meanwhile; nothing was removed."""


@dataclass
class Found:
    """What a prune removes.

    Attributes:
      unwanted: the photos to remove.
      seen: those of them of which there is a record.
      counts: records by their kind: captions, failures, reviews.
      examples: some of the photos, and their captions.
      files: of records that hold some of them: the book, the kind, the path.
      reviews: files of reviews that hold some.
      pages: that show some, as they will be.
      problems: sentences about what could not be looked at.
    """

    unwanted: PhotoNames
    seen: PhotoNames
    counts: dict[str, int] = field(default_factory=lambda: {CAPTIONS: 0, FAILURES: 0, REVIEWS: 0})
    examples: dict[str, str] = field(default_factory=dict)
    files: list[tuple[Book, str, str]] = field(default_factory=list)
    reviews: list[str] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.files or self.reviews or self.pages)


def photos(output: str, books: Iterable[Book]) -> Iterator[str]:
    """The photos that runs captioned, that failed in them, and that people reviewed; some several times."""
    files = [(path, kind) for book in books if book.is_run for kind in book.files for path in book.files[kind]]
    for path, kind in [*files, *((path, REVIEWS) for path in review_files(output, unread={}))]:
        try:
            yield from (record["uri"] for _, record in rows(path, kind) if record)
        except UnreadableError:  # ``find`` says so
            continue


def find(output: str, books: Iterable[Book], unwanted: PhotoNames) -> Found:
    """Looks for the records of some photos, a line at a time; changes nothing."""
    found = Found(unwanted, PhotoNames(unwanted.renamed))
    for book in books:
        for kind, files in book.files.items():
            for path in files:
                if _count(found, path, kind):
                    found.files.append((book, kind, path))
    found.reviews = [path for path in review_files(output, unread={}) if _count(found, path, REVIEWS)]
    for path in pages(output):
        try:
            page = page_without(path, unwanted)
        except UnreadableError as error:
            found.problems.append(f"{path} {error}; it was not looked at.")
        else:
            found.pages += [page] if page else []
    return found


def _count(found: Found, path: str, kind: str) -> int:
    """Counts the records of the photos in a file, and returns how many there are."""
    number = 0
    try:
        for _, record in rows(path, kind):
            if record and record["uri"] in found.unwanted:
                number += 1
                found.seen.add(record["uri"])
                if len(found.examples) < _SHOWN or record["uri"] in found.examples:
                    text = record.get("caption") if kind == CAPTIONS else None
                    found.examples[record["uri"]] = str(text or found.examples.get(record["uri"], ""))
    except UnreadableError as error:
        if "is gone" not in str(error):
            found.problems.append(f"{path} {error}; it was not looked at.")
    found.counts[kind] += number
    return number


def check_inactive(output: str, books: Iterable[Book], killed: Iterable[str], now: datetime) -> None:
    """Raises ``ActiveRunError`` where a run may still be going on: it has no manifest, and wrote within a day."""
    named = {name.removeprefix("run=") for name in killed}
    for book in books:
        # One that was pruned before can no longer finish.
        if book.finished or PRUNED in book.says or book.name.removeprefix("run=") in named:
            continue
        own = [FileSystems.join(output, book.name, book.document)]
        newest = max(last_written(path) for path in [*own, *(path for files in book.files.values() for path in files)])
        if now - newest < SETTLED:
            raise ActiveRunError(
                f"{book.name} has no manifest and wrote its last file at {newest:%Y-%m-%d %H:%M} UTC: it may be going "
                f"on. Wait until it has ended; if it was killed, add --killed {book.name.removeprefix('run=')}"
            )


def clear(output: str, books: Iterable[Book], now: datetime) -> tuple[int, list[str], dict[str, object]]:
    """Deletes what nobody reads: how many files, those that are too young, and those that are left, and why.

    Where there is nothing of the kind, the folder is not taken over from another prune. Raises what ``remove`` raises.
    """
    old, young = leftovers(output, _unchanged(output, books), now)
    if not old:
        return 0, young, {}
    staging = _Staging(output, new_id(now))
    begin(output, staging.name)
    staging.deleted, young = leftovers(output, _unchanged(output, books), now)
    commit(output, staging.switch())
    left = complete(output, staging.switch())
    return len(staging.deleted) - len(left), young, left


def remove(output: str, books: list[Book], found: Found, why: str, now: datetime) -> dict[str, object]:
    """Removes what was found, all of it or nothing; returns files that could not be deleted, and why.

    Raises:
      ChangedError: somebody wrote into the folder meanwhile.
      TakenOverError: another prune was started.
      WriteError: a file cannot be written. Before the switch that removes nothing; after it the next prune ends it.
    """
    staging = _Staging(output, new_id(now))
    begin(output, staging.name)
    runs, reviews = run_folders(output), review_files(output, unread={})
    hit = {book.name for book, _, _ in found.files}
    touched = [book for book in books if book.name in hit or book.says.get("examples")]
    note = {"id": staging.name, "time": now.isoformat(timespec="seconds"), "why": why}
    try:
        staging.deleted += leftovers(output, _unchanged(output, books), now)[0]
        for book in touched:
            files = [(kind, path) for other, kind, path in found.files if other.name == book.name]
            _stage_book(staging, book, files, found.unwanted, note)
        for path in found.reviews:
            staging.replace(path, lambda data: without(data, REVIEWS, found.unwanted))
        for page in found.pages:
            staging.replace(page.path, lambda data, page=page: _same(data, page.before, page.html))
        same = (runs, reviews) == (run_folders(output), review_files(output, unread={}))
        same = same and staging.is_unchanged() and staging.is_whole()
        _same(same and not any(_goes_on(output, book) for book in touched), True, b"")
        commit(output, staging.switch())
    except Exception:
        delete_files(staging.written)  # what cannot be deleted is invisible, and goes with the next prune
        raise
    return complete(output, staging.switch())


def _unchanged(output: str, books: Iterable[Book]) -> list[Book]:
    """The books as they are now; raises ``ChangedError`` where some are no longer as they were looked at."""
    found = {book.name: book for book in open_books(output)[0]}
    _same([found.get(book.name) for book in books], list(books), b"")
    return list(found.values())


def _same(found: object, expected: object, data: bytes) -> bytes:
    """The new content of a file whose old one is as it was when the new one was made."""
    if found != expected:
        raise ChangedError("Files of the folder were written meanwhile. Nothing was removed; start again.")
    return data


def _stage_book(
    staging: "_Staging", book: Book, hit: list[tuple[str, str]], unwanted: PhotoNames, note: Mapping[str, Any]
) -> None:
    rewritten: list[Rewritten] = []
    for kind, path in hit:
        file = rewrite(path, kind, book.files[kind][path], unwanted)
        staging.written.append(file.written)
        staging.deleted += [path] if file.entry else [path, file.written]
        rewritten.append(file)
    unchanged = {
        kind: [described(path, kind, entry) for path, entry in files.items() if (kind, path) not in hit]
        for kind, files in book.files.items()
    }
    says = pruned_document(book, rewritten, unchanged, note)
    text = f"{json.dumps(says, indent=2, ensure_ascii=False)}\n".encode("utf-8", "backslashreplace")
    path = FileSystems.join(staging.output, *book.name.split("/"), book.document)
    staging.replace(path, lambda _: _same(read_document(path), book.says, text))


def _goes_on(output: str, book: Book) -> bool:
    """Whether a run that seemed to have been killed has ended, or written, since it was opened."""
    if book.finished:
        return False
    run = open_run_folder(FileSystems.join(output, book.name))
    return run.finished or any(run.files(kind).keys() != files.keys() for kind, files in book.files.items())


class _Staging:
    """Collects the new files, which lie beside the old ones until the switch."""

    def __init__(self, output: str, name: str) -> None:
        self.output = output
        self.name = name
        self.written: list[str] = []
        self.deleted: list[str] = []
        self._before: dict[str, bytes] = {}

    def replace(self, path: str, make: Any) -> None:
        data = read_bytes(path) or b""
        _same(bool(data), True, data)  # each held something when it was found
        self._before[path] = hashlib.sha256(data).digest()
        staged = self.switch().staged(path)
        self.written.append(staged)
        write_whole(staged, make(data))

    def is_unchanged(self) -> bool:
        return all(hashlib.sha256(read_bytes(path) or b"").digest() == digest for path, digest in self._before.items())

    def is_whole(self) -> bool:
        """Whether the new files that will count are all there."""
        wanted = set(self.written).difference(self.deleted)
        folders = {FileSystems.split(path)[0] for path in wanted}
        return wanted.issubset(path for folder in folders for path in files_in(folder, "*"))

    def switch(self) -> Switch:
        return Switch(
            self.name, SWITCHED, tuple(map(self._inside, self._before)), tuple(map(self._inside, self.deleted))
        )

    def _inside(self, path: str) -> str:
        start = len(FileSystems.join(self.output, ""))
        return path[start:].replace("\\", "/")
