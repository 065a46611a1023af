"""Image URIs from globs over images and from lists of URIs."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from beam_job.listing.globs import CannotList, LeftOut, Match, matches
from beam_job.listing.left_out import LeaveOut
from beam_job.listing.list_file import ListError, Piece, kind
from beam_job.listing.lists import check_list, list_pieces
from beam_job.listing.rows import BadRow, Fields, check_unicode, rows
from beam_job.messages.quoting import shown
from beam_job.metrics import count_failure
from beam_job.records import Failure

_GLOB, _LIST = "glob", "list"
_BAD = "bad"
_READ = "read"
_LEFT_OUT = "left_out"

# A URI with the fields it carries and its version, a row that holds none, or what a glob gives besides images.
_RowRead: TypeAlias = tuple[str, Any] | BadRow | CannotList | LeftOut

LISTED = 1
"""Stands before the carried fields and the version of an image whose version is known."""


class Listed(NamedTuple):
    """The listed images.

    Attributes:
      uris: URIs with their carried fields; if a version is known, with (``LISTED``, fields, version).
      bad: rows without a URI, and folders that cannot be listed.
      read: numbers of rows read, including those in ``bad``.
      left_out: numbers of files and folders that globs leave out.
    """

    uris: beam.PCollection[tuple[str, Any]]
    bad: beam.PCollection[Failure]
    read: beam.PCollection[int]
    left_out: beam.PCollection[int]


class ReadUris(beam.PTransform):
    """Reads image URIs, including duplicates. Only the current row is kept in memory.

    Args:
      images: globs over image files, on gs:// or local disks.
      lists: globs over list files, on any file system that Beam reads.
      fields: the columns or fields of the lists to read.
      copies: paths of the copies of lists that are pipes, by the names of the lists.
      leave_out: the files that globs leave out; of lists, only hidden ones are left out.
    """

    def __init__(
        self,
        images: Sequence[str],
        lists: Sequence[str],
        fields: Fields = Fields(),
        copies: Mapping[str, str] = {},
        leave_out: LeaveOut = LeaveOut(),
    ) -> None:
        super().__init__()
        self._images = images
        self._lists = lists
        self._fields = fields
        self._copies = copies
        self._leave_out = leave_out

    def expand(self, pbegin: beam.pvalue.PBegin) -> Any:  # Listed, which Beam's type hints don't know
        # One step reads them all: runners hold what they flatten.
        found = (
            pbegin
            | "GlobsAndLists"
            >> beam.Create([(_GLOB, glob) for glob in self._images] + [(_LIST, name) for name in self._lists])
            | "SplitLists" >> beam.FlatMap(_split, self._copies, self._leave_out.include_hidden)
            | "ReshufflePieces" >> beam.Reshuffle()
            | "ReadRows"
            >> beam.ParDo(_Read(self._fields, self._leave_out))
            .with_outputs(_BAD, _READ, _LEFT_OUT, main="uris")
            .with_output_types(tuple[str, Any])
        )
        return Listed(found.uris, found[_BAD], found[_READ], found[_LEFT_OUT])


def _split(source: tuple[str, str], copies: Mapping[str, str], include_hidden: bool) -> Iterator[tuple[str, Any]]:
    """A glob as it is; a list as its pieces."""
    kind, name = source
    if kind == _GLOB:
        yield source
    else:
        yield from ((kind, piece) for piece in list_pieces(name, copies, include_hidden))


class _Read(beam.DoFn):
    """Reads the rows of its sources and counts them here, so that the final check finds any that are lost later."""

    def __init__(self, fields: Fields, leave_out: LeaveOut) -> None:
        self._fields = fields
        self._leave_out = leave_out

    def start_bundle(self) -> None:
        self._count = self._left_out = 0

    def process(self, source: tuple[str, Any]) -> Iterator[Any]:
        for row in self._rows_of(*source):
            if isinstance(row, LeftOut):
                self._left_out += 1
                continue
            self._count += 1
            if isinstance(row, (BadRow, CannotList)):
                code = "bad_row" if isinstance(row, BadRow) else "cannot_list"
                failure = Failure(row.place, "list", code, row.message)
                count_failure(failure)
                yield TaggedOutput(_BAD, failure)
            else:
                yield row

    def _rows_of(self, kind: str, source: Any) -> Iterator[_RowRead]:
        if kind == _GLOB:
            return _rows_of_glob(source, self._fields, self._leave_out)
        return _rows_of_piece(source, self._fields)

    def finish_bundle(self) -> Iterator[Any]:
        for tag, number in ((_READ, self._count), (_LEFT_OUT, self._left_out)):
            yield TaggedOutput(tag, WindowedValue(number, MIN_TIMESTAMP, (GlobalWindow(),)))


def _rows_of_piece(piece: Piece, fields: Fields) -> Iterator[_RowRead]:
    for row in rows(Piece(*piece), fields):
        # A plain tuple: Beam's coder is several times faster with it.
        yield row if isinstance(row, BadRow) else _listed(absolute(row.uri), row.carried, row.version)


def _rows_of_glob(glob: str, fields: Fields, leave_out: LeaveOut) -> Iterator[_RowRead]:
    carried = dict.fromkeys(fields.carry) if fields.carry else None
    for found in matches(glob, leave_out):
        if isinstance(found, LeftOut):
            yield found
        elif isinstance(found, CannotList):
            yield CannotList(_printable(found.place), found.message)
        else:
            try:
                check_unicode(found)
                yield _listed(str(found), carried, found.version if isinstance(found, Match) else None)
            except ValueError as error:
                yield BadRow(_printable(found), str(error))


def _listed(uri: str, carried: dict[str, Any] | None, version: str | None) -> tuple[str, Any]:
    return uri, carried if version is None else (LISTED, carried, version)


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()


def absolute(uri: str) -> str:
    """Makes a local path absolute, so that each image has one name, wherever a run starts."""
    return uri if "://" in uri else os.path.abspath(uri)


def renamed_prefixes(old: str | None, new: str | None) -> tuple[str, str] | None:
    """Old and new prefix of a moved archive, as its images are named; raises ``ValueError`` with a sentence."""
    if old is None and new is None:
        return None
    old, new = (_absolute_prefix(prefix) if prefix else "" for prefix in (old, new))
    if not old or not new or old == new:
        raise ValueError(
            "--rename_from and --rename_to: give both, such as --rename_from /mnt/old/ --rename_to gs://archive/."
        )
    return old, new


def _absolute_prefix(prefix: str) -> str:
    """A local prefix from the root on; a slash at its end stays."""
    return os.path.join(absolute(prefix), "") if prefix.endswith("/") and "://" not in prefix else absolute(prefix)


def named_uris(lists: Sequence[str], field: str, copies: Mapping[str, str]) -> Iterator[str]:
    """The URIs that lists name, for commands that read them by themselves; raises ``ValueError`` with a sentence.

    Args:
      lists: globs over list files, or pipes.
      field: the column or field with the URI.
      copies: paths of the copies of those that are pipes.
    """
    fields = Fields(field)
    try:
        for name in lists:
            check_list(name, fields, copies)
            for piece in list_pieces(name, copies):
                if field != Fields.uri and kind(Piece(*piece).path) == "text":
                    raise ValueError(
                        f"--uris {shown(name)}: a list has one URI per line, and no fields; --uri_field {field} needs "
                        "CSV, TSV or JSON lines."
                    )
                for row in rows(Piece(*piece), fields):
                    if isinstance(row, BadRow):
                        raise ValueError(f"--uris {shown(name)}: {row.message}")
                    yield absolute(row.uri)
    except (ListError, OSError) as error:
        raise ValueError(str(error)) from error
