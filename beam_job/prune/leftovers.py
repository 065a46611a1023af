"""Files in a folder of runs that nobody reads: of writers that were killed, and of work that was done again."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from apache_beam.io.filesystems import FileSystems

from beam_job.export.export import EXPORTS
from beam_job.files.in_folder import files_in
from beam_job.files.switch import STAGED
from beam_job.prune.books import Book
from beam_job.runs.folder import CAPTIONS, PRUNED_FILE
from beam_job.runs.reviews import FOLDER

SETTLED = timedelta(days=1)
"""Who has written nothing for so long has ended."""

_RECORDS = re.compile(r"(captions|failures)-[0-9a-f]{32}(-pruned)?\.jsonl")
_TEMPORARY = re.compile(r".+\.[0-9a-f]{32}\.tmp")
_STAGED = re.compile(rf".+\.[0-9TZ]+-[0-9a-f]+{re.escape(STAGED)}")
_OF_EXPORTS = re.compile(r"part-[0-9a-f]{32}\.jsonl|table\.(csv|parquet)|failures-[0-9a-f]{32}\.jsonl")


def leftovers(output: str, books: Iterable[Book], now: datetime) -> tuple[list[str], list[str]]:
    """Files that can be deleted, and those that somebody may still be writing.

    Only names that these programs give are taken. Files of a run count as left over where its document names the files
    that count, and does not name them. Folders that are not read are named by ``open_books``.
    """
    named: Mapping[str, Book] = {book.name: book for book in books}
    old: list[str] = []
    young: list[str] = []

    def add(path: str) -> None:
        (old if now - last_written(path) >= SETTLED else young).append(path)

    for pattern in (["*"], [FOLDER, "*"], ["run=*", "*"], [EXPORTS, "*", "*"]):
        for path in files_in(output, *pattern, unread={}):
            folder, name = FileSystems.split(path)
            parent = FileSystems.split(folder)[1]
            book = named.get(parent) or named.get(f"{EXPORTS}/{parent}")
            if _STAGED.fullmatch(name) or (book is not None and _is_replaced(name, book)):
                old.append(path)
            elif _TEMPORARY.fullmatch(name) or (pattern[0] == EXPORTS and _is_part(name, book)):
                add(path)
    return old, young


def _is_replaced(name: str, book: Book) -> bool:
    """Whether a file of records does not count: a prune's that is not named, or any other of a run that names some."""
    names_files = name.endswith(PRUNED_FILE) or (book.is_run and (book.finished or CAPTIONS in book.says))
    return bool(_RECORDS.fullmatch(name)) and names_files and name not in book.names


def _is_part(name: str, book: Book | None) -> bool:
    """Whether a file of an export is none that its manifest names, where it has one."""
    return bool(_OF_EXPORTS.fullmatch(name)) and (book is None or name not in book.names)


def last_written(path: str) -> datetime:
    """When a file was last written, by the storage's clock."""
    return datetime.fromtimestamp(FileSystems.get_filesystem(path).last_updated(path), UTC)
