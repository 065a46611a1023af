"""Adds downloaded reviews: each is checked against the captions of the folder, and all are written to one file."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import UnreadableError, is_number
from beam_job.files.whole import has_folders, write_whole
from beam_job.images.local_path import local_path
from beam_job.messages.quoting import quoted, shown
from beam_job.model.decoding import decoding_digest
from beam_job.runs.archive import ArchiveError
from beam_job.runs.folder import CAPTIONS, open_run_folder, run_folders
from beam_job.runs.record_file import RecordFile, is_caption
from beam_job.runs.reviews import FOLDER, BadReviewError, Review, Reviews, UnreadReviewsError, read_reviews

_MOST_BYTES = 64 << 20  # of a file: some 100,000 reviews
_NO_FILE = "there is no such file. Browsers usually save reviews as ~/Downloads/reviews-*.jsonl."
_NO_PATTERN = "this is no file. The shell replaces a pattern of files on a disk; in a bucket, name each file."

Caption = tuple[str, str, str, float]
"""A caption of an image: its text, the model's fingerprint, the decoding's digest, the score."""


@dataclass
class Added:
    """The result of adding reviews.

    Attributes:
      path: the file that was written; ``None`` if no review was new.
      new: number of reviews in it; ``known`` is the number that the folder had already.
      bad: a sentence for each row that is not a review of this folder.
      differing: sentences about photos on which two people disagree.
    """

    path: str | None = None
    new: int = 0
    known: int = 0
    bad: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)


def add_reviews(output: str, paths: Sequence[str], skip_bad: bool = False) -> Added:
    """Checks files of reviews, and writes the new reviews to ``reviews/`` in ``output``, completely or not at all.

    Args:
      skip_bad: add the good rows even if others are bad; otherwise nothing is added.

    Raises:
      ArchiveError: a file cannot be read, or the folder cannot be read or written.
    """
    added = Added()
    rows = list(_rows(paths, added.bad))
    try:
        output = local_path(output)
        before = read_reviews(output)
        captions = _captions(output, {review.uri for _, review in rows})
    except UnreadReviewsError as error:
        raise ArchiveError(str(error)) from error
    except Exception as error:  # file systems raise what they like
        raise ArchiveError(f"{shown(output)}: cannot be read ({shown(str(error), 300)}).") from error
    known = set(before.rows)
    new: dict[Review, None] = {}
    for place, review in rows:
        problem = _problem(review, captions.get(review.uri, set()), output)
        if problem:
            added.bad.append(f"{place}: {problem}")
        elif review in known or review in new:
            added.known += 1
        else:
            new[review] = None
    added.new = len(new)
    if new and (skip_bad or not added.bad):
        data = "".join(f"{review.to_json()}\n" for review in new).encode()
        newest = max(review.time for review in new)[:19].replace("-", "").replace(":", "")
        name = f"reviews-{newest}Z-{blake2b(data, digest_size=4).hexdigest()}.jsonl"
        folder = FileSystems.join(output, FOLDER)
        try:
            if has_folders(folder) and not FileSystems.exists(folder):
                FileSystems.mkdirs(folder)
            added.path = FileSystems.join(folder, name)
            write_whole(added.path, data)
        except Exception as error:  # file systems raise what they like
            raise ArchiveError(f"{shown(str(error), 300)}.") from error
        uris = {review.uri for review in new}
        pairs = Reviews([*before.rows, *new], []).differing()
        added.differing = [_difference(*pair) for pair in pairs if pair[1].uri in uris]
    return added


def _rows(paths: Iterable[str], bad: list[str]) -> Iterator[tuple[str, Review]]:
    """The reviews of files, each with its place; sentences about other rows go to ``bad``."""
    for path in paths:
        lines = _content(path).split(b"\n")
        if lines[-1]:
            bad.append(f"{shown(path)}: its last line is incomplete. Download the file again.")
        rows = promised = 0
        for number, line in enumerate(lines[:-1], 1):
            place = f"{shown(path)}, line {number}"
            try:
                if line.strip():
                    row = json.loads(line.decode())
                    rows += 1
                    promised = max(promised, _promised(row))
                    yield place, Review.parse(row)
            except BadReviewError as error:
                bad.append(f"{place}: {error}.")
            except (ValueError, RecursionError):
                bad.append(f"{place}: it is not JSON.")
        if rows < promised:
            bad.append(f"{shown(path)}: it contains only {rows:,} of {promised:,} reviews. Download the file again.")


def _promised(row: Any) -> int:
    """How many rows the page wrote into the file, by one of them."""
    number = row.get("of") if isinstance(row, dict) else None
    return number if isinstance(number, int) and is_number(number) else 0


def _content(path: str) -> bytes:
    try:
        with closing(FileSystems.open(local_path(path), compression_type=CompressionTypes.UNCOMPRESSED)) as file:
            data = file.read(_MOST_BYTES + 1)
    except IsADirectoryError as error:
        raise ArchiveError(f"{shown(path)}: this is a folder; name the files of reviews in it.") from error
    except Exception as error:  # file systems raise what they like
        if isinstance(error, FileNotFoundError) or getattr(error, "code", None) == 404:
            raise ArchiveError(f"{shown(path)}: {_NO_PATTERN if '*' in path else _NO_FILE}") from error
        raise ArchiveError(f"{shown(path)}: cannot be read ({shown(str(error), 300)}).") from error
    if len(data) > _MOST_BYTES:
        raise ArchiveError(f"{shown(path)}: it has more than {_MOST_BYTES:,} bytes, the limit for a file of reviews.")
    return data


def _captions(output: str, uris: set[str]) -> dict[str, set[Caption]]:
    """All captions that runs gave to some images."""
    found: dict[str, set[Caption]] = {}
    for directory in run_folders(output):
        try:
            run = open_run_folder(directory)
        except UnreadableError as error:
            logging.warning("Passed over: %r: %s", directory, error)
            continue
        model, decoding = run.settings[0], decoding_digest(run.settings[1])
        for path in run.files(CAPTIONS):
            for record in RecordFile(path, is_caption):
                if record["uri"] in uris:
                    caption = (record["caption"], model, decoding, _number(record.get("score")))
                    found.setdefault(record["uri"], set()).add(caption)
    return found


def _number(value: Any) -> float:
    return value if isinstance(value, (int, float)) else float("nan")


def _problem(review: Review, captions: set[Caption], output: str) -> str:
    """Why a review is none of a caption in the folder; empty where it is one."""
    if not captions:
        return (
            f"{shown(review.uri)} is not captioned in {shown(output)}: the reviews belong to another folder, or the "
            "photo was removed from it."
        )
    alike = [caption for caption in captions if caption[0] == review.shown]
    if not alike:
        return f"{shown(review.uri)} never had the caption {quoted(review.shown)} in {shown(output)}."
    if not any(caption[1:3] == (review.model, review.decoding) for caption in alike):
        return f"{shown(review.uri)} has that caption, but from another model or with other decoding options."
    if (review.shown, review.model, review.decoding, review.score) not in alike:
        return f"{shown(review.uri)} has that caption with another score than {review.score}."
    return ""


def _difference(earlier: Review, newest: Review) -> str:
    def said(review: Review) -> str:
        who = shown(review.reviewer) or "somebody"
        return f"{who} said {review.verdict}" + (f" ({quoted(review.caption)})" if review.caption else "")

    return f"{shown(newest.uri)}: {said(earlier)}, then {said(newest)}, which counts."
