"""Where image URIs come from: globs over images, and lists of URIs."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
from apache_beam.io.filesystem import FileSystem
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from beam_job.fetch import FetchLimits, shared_fetcher
from beam_job.list_file import Piece
from beam_job.lists import list_pieces
from beam_job.metrics import count_failure
from beam_job.records import Failure
from beam_job.rows import BadRow, Fields, check_unicode, rows

_BAD = "bad"
_READ = "read"
_GLOB_CHARACTERS = "*?["

# A URI with the fields it carries, or a row that holds none.
_RowRead: TypeAlias = tuple[str, dict[str, Any] | None] | BadRow


class Listed(NamedTuple):
    """What was listed: ``uris`` with the fields they carry, ``bad`` rows, and the numbers of rows ``read``."""

    uris: beam.PCollection[tuple[str, dict[str, Any] | None]]
    bad: beam.PCollection[Failure]
    read: beam.PCollection[int]


class ReadUris(beam.PTransform):
    """Reads image URIs, duplicates included. Nothing but the row at hand is held in memory.

    Args:
      images: globs over image files, on gs:// or local disks.
      lists: globs over list files, on any file system that Beam reads.
      fields: which columns or fields of the lists are read.
      copies: paths of the files that lists were copied to, by the lists' names.
    """

    def __init__(
        self,
        images: Sequence[str],
        lists: Sequence[str],
        fields: Fields = Fields(),
        copies: Mapping[str, str] = {},
    ) -> None:
        super().__init__()
        self._images = images
        self._lists = lists
        self._fields = fields
        self._copies = copies

    def expand(self, pbegin: beam.pvalue.PBegin) -> Any:  # Listed, which Beam's type hints don't know
        def read(label: str, found: beam.PCollection, reader: "_Read") -> Any:
            return found | label >> beam.ParDo(reader).with_outputs(_BAD, _READ, main="uris").with_output_types(
                tuple[str, Any]
            )

        globbed = read("MatchImages", pbegin | "Globs" >> beam.Create(self._images), _Read(_rows_of_glob, self._fields))
        listed = read(
            "ReadRows",
            pbegin
            | "Lists" >> beam.Create(self._lists)
            | "SplitLists" >> beam.FlatMap(list_pieces, self._copies)
            | "ReshufflePieces" >> beam.Reshuffle(),
            _Read(_rows_of_piece, self._fields),
        )
        return Listed(
            (globbed.uris, listed.uris) | "Uris" >> beam.Flatten(),
            (globbed[_BAD], listed[_BAD]) | "BadRows" >> beam.Flatten(),
            (globbed[_READ], listed[_READ]) | "RowsRead" >> beam.Flatten(),
        )


class _Read(beam.DoFn):
    """Reads the rows of its sources; counts them as it reads, so that the books show whatever gets lost behind it."""

    def __init__(self, rows_of: Callable[[Any, Fields], Iterator[_RowRead]], fields: Fields) -> None:
        self._rows_of = rows_of
        self._fields = fields

    def start_bundle(self) -> None:
        self._count = 0

    def process(self, source: Any) -> Iterator[Any]:
        for row in self._rows_of(source, self._fields):
            self._count += 1
            if isinstance(row, BadRow):
                failure = Failure(row.place, "list", "bad_row", row.message)
                count_failure(failure)
                yield TaggedOutput(_BAD, failure)
            else:
                yield row

    def finish_bundle(self) -> Iterator[Any]:
        yield TaggedOutput(_READ, WindowedValue(self._count, MIN_TIMESTAMP, (GlobalWindow(),)))


def _rows_of_piece(piece: Piece, fields: Fields) -> Iterator[_RowRead]:
    for row in rows(Piece(*piece), fields):
        # A plain tuple: Beam's coder is several times faster with it.
        yield row if isinstance(row, BadRow) else (absolute(row.uri), row.carried)


def _rows_of_glob(glob: str, fields: Fields) -> Iterator[_RowRead]:
    carried = dict.fromkeys(fields.carry) if fields.carry else None
    for path in match_images(glob):
        try:
            check_unicode(path)
            yield path, carried
        except ValueError as error:
            yield BadRow(path.encode("utf-8", "backslashreplace").decode(), str(error))


def match_images(glob: str) -> Iterator[str]:
    """Paths of the images that a glob names. Objects of a bucket come page by page; a local folder is listed whole."""
    if not glob.startswith("gs://"):
        yield from (path for path, _ in _files(glob))
        return
    bucket, _, pattern = glob.removeprefix("gs://").partition("/")
    prefix = pattern[: min((pattern.find(mark) for mark in _GLOB_CHARACTERS if mark in pattern), default=len(pattern))]
    wanted = re.compile(FileSystem.translate_pattern(pattern))
    for name in shared_fetcher(FetchLimits(), threads=1).objects(bucket, prefix):
        if wanted.match(name):
            yield f"gs://{bucket}/{name}"


def check_images(glob: str) -> None:
    """Raises ``ValueError`` where a glob names a folder, or no image."""
    scheme, separator, _ = glob.partition("://")
    if separator and scheme != "gs":
        raise ValueError(f"--images {glob}: globs are on gs:// or local disks; list other images with --uris.")
    if not separator and os.path.isdir(glob):
        images, below = (os.path.join(glob, pattern) for pattern in ("*.jpg", "**.jpg"))
        raise ValueError(f"--images {glob}: is a folder; write '{images}', or '{below}' for its subfolders, too.")
    try:
        if next(match_images(glob), None) is not None:
            return
    except Exception as error:  # file systems raise what they like
        raise ValueError(f"--images {glob}: cannot be listed ({error}).") from error
    raise ValueError(f"--images {glob}: no image matches.")


def absolute(uri: str) -> str:
    """A local path from the root on: the same image has one name, and two images have two, wherever a run starts."""
    return uri if "://" in uri else os.path.abspath(uri)


def _files(glob: str) -> Iterator[tuple[str, int]]:
    """Paths and sizes in bytes of the files that a glob names."""
    local = "://" not in glob
    if local and os.path.isfile(glob):  # whatever characters its name holds
        yield absolute(glob), os.path.getsize(glob)
        return
    # Beam lists nothing for a pattern without a folder.
    for found in FileSystems.match([os.path.join(".", glob) if local else glob])[0].metadata_list:
        yield absolute(found.path), found.size_in_bytes
