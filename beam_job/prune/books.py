"""Folders whose document names files of records, runs and exports: their books, before a prune and after it."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.export.export import EXPORTS
from beam_job.files.document import UnreadableError, read_document
from beam_job.files.in_folder import files_in
from beam_job.files.switch import places, read_switch
from beam_job.runs.folder import CAPTIONS, FAILURES, PRUNED, open_run_folder, run_folders
from beam_job.runs.manifest import MANIFEST, STARTED
from beam_job.runs.reviews import review_files

_FAILURES = re.compile(rf"{FAILURES}-[\w-]+\.jsonl", re.ASCII)


@dataclass(frozen=True)
class Book:
    """A run or an export.

    Attributes:
      name: its folder, from the output folder on: ``run=1``.
      document: the name of the file in it that names its files of records, or will.
      says: what stands in it.
      files: by kind, the path of each file, and what the document says of it.
      finished: whether the run, or the export, has ended.
    """

    name: str
    document: str
    says: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Mapping[str, Any]]]
    finished: bool

    @property
    def is_run(self) -> bool:
        return CAPTIONS in self.files

    @cached_property
    def names(self) -> frozenset[str]:
        """Of its files of records."""
        return frozenset(FileSystems.split(path)[1] for files in self.files.values() for path in files)


@dataclass
class Rewritten:
    """One file of records without those that are removed.

    Attributes:
      kind: CAPTIONS or FAILURES.
      path: the old file.
      written: the new one.
      entry: what the document says of the new one; ``None`` where it is empty, and goes, too.
      removed: records that are no longer in it.
      codes: of removed failures, ``stage/error``, how many.
      known: removed failures that were known.
      touched: whether the records are copies of those of earlier runs.
    """

    kind: str
    path: str
    written: str
    entry: dict[str, Any] | None = None
    removed: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    known: int = 0
    touched: bool = False


def open_books(output: str) -> tuple[list[Book], list[str]]:
    """The runs and exports of a folder, and sentences about those that cannot be read."""
    books: list[Book] = []
    problems: list[str] = []
    unread: dict[str, str] = {}
    for directory in run_folders(output, unread):
        if directory in unread:
            continue
        try:
            run = open_run_folder(directory)
        except UnreadableError as error:
            problems.append(f"{directory}: {error} Its files were not looked at.")
            continue
        files = {kind: run.files(kind) for kind in (CAPTIONS, FAILURES)}
        document = MANIFEST if run.finished else STARTED
        books.append(Book(f"run={run.id}", document, run.document, files, run.finished))
        problems += [f"{directory}: {problem}" for problem in run.problems]
    books += _exports(output, problems, unread)
    review_files(output, unread)
    problems += [f"{folder} {reason}. Its files were not looked at." for folder, reason in unread.items()]
    return books, problems


def _exports(output: str, problems: list[str], unread: dict[str, str]) -> Iterator[Book]:
    switch = read_switch(output)
    for path in files_in(output, EXPORTS, "*", MANIFEST, unread=unread):
        folder = FileSystems.split(path)[0]
        name = f"{EXPORTS}/{FileSystems.split(folder)[1]}"
        try:
            found = (read_document(place) for place in places(switch, output, f"{name}/{MANIFEST}"))
            says = next(filter(None, found), None)
        except UnreadableError as error:
            problems.append(f"{path} {error}. Its files were not looked at.")
            continue
        if says is None:
            continue
        files = {
            FileSystems.join(folder, entry["name"]): entry
            for entry in _list(says.get(FAILURES))
            if isinstance(entry, dict) and _FAILURES.fullmatch(str(entry.get("name")))
        }
        yield Book(name, MANIFEST, says, {FAILURES: files}, True)


def pruned_document(
    book: Book, rewritten: list[Rewritten], unchanged: Mapping[str, list[dict[str, Any]]], note: Mapping[str, Any]
) -> dict[str, Any]:
    """What the document says after a prune: other files, and counts that add up again.

    Args:
      rewritten: files that are replaced.
      unchanged: entries of the others, by kind.
      note: which prune it was; the numbers of removed records are added.
    """
    removed = {kind: sum(file.removed for file in rewritten if file.kind == kind) for kind in book.files}
    says = {
        **book.says,
        **{
            kind: sorted(
                [*unchanged[kind], *(file.entry for file in rewritten if file.kind == kind and file.entry)],
                key=lambda entry: str(entry.get("name")),
            )
            for kind in book.files
        },
        PRUNED: [*_list(book.says.get(PRUNED)), {**note, **removed}],
    }
    if "examples" in says:  # of a dry run: ten sidecars and captions, which may be of these photos
        says["examples"] = []
    if "counts" in says:
        _balance(says, rewritten, removed[FAILURES])
    return says


def _balance(says: dict[str, Any], rewritten: list[Rewritten], failures: int) -> None:
    """Takes removed records out of the counts they were in, and counts them as pruned."""
    counts = dict(says["counts"])
    captions = sum(file.removed for file in rewritten if file.kind == CAPTIONS)
    touched = sum(file.removed for file in rewritten if file.touched)
    # Older manifests do not say which files hold copied records: those go last.
    captioned = min(captions - touched, _number(counts.get("captioned")))
    touched = captions - captioned
    for name, number in (("captioned", captioned), ("skipped", touched), ("failed", failures)):
        if number:
            counts[name] = _number(counts.get(name)) - number
    counts[PRUNED] = _number(counts.get(PRUNED)) + captions + failures
    says["counts"] = counts
    if touched:
        says["touched"] = max(_number(says.get("touched")) - touched, 0)
    if "changed" in says:  # no record says whether it counts there
        says["changed"] = min(_number(says["changed"]), counts["captioned"])
    codes = Counter(says.get("failures_by_code") or {})
    codes.subtract(sum((file.codes for file in rewritten), Counter()))
    says["failures_by_code"] = {code: count for code, count in sorted(codes.items()) if count > 0}
    if "known_failures" in says:
        says["known_failures"] = max(_number(says["known_failures"]) - sum(file.known for file in rewritten), 0)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
