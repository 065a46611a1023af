"""The lists of ``--uris``: files, globs of files, and pipes, which are copied because they can be read only once."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.images.local_path import local_path
from beam_job.listing.globs import CannotList, matches
from beam_job.listing.left_out import LeaveOut
from beam_job.listing.list_file import ListError, Piece, kind, lines, pieces
from beam_job.listing.rows import BadRow, Fields, Row, lacks_version, rows
from beam_job.messages.quoting import shown

_CHECKED_BYTES = 4 << 20  # of a list, before the job starts
_STANDARD_INPUT = "-"
_COPY_BYTES = 1 << 20


def check_list(name: str, fields: Fields, copies: Mapping[str, str], include_hidden: bool = False) -> None:
    """Raises ``ValueError`` if a list is missing, empty or damaged, or lacks the URI in its first row, or all versions.

    Only the beginning of the first file with a row is read; the run finds damage after it.
    """
    try:
        found = list(_files(name, copies, include_hidden))
        first = next(filter(None, (_first_row(path, _shown(name, copies), fields) for path, _ in found)), None)
    except ListError as error:
        raise ValueError(f"--uris {name}: {error}") from error
    except Exception as error:  # file systems raise what they like
        raise ValueError(f"--uris {name}: the list cannot be read ({shown(str(error), 300)}).") from error
    if not found:
        raise ValueError(f"--uris {name}: the list cannot be read (there is no such file).")
    if first is None:
        raise ValueError(f"--uris {name}: the list contains no URI.")
    if isinstance(first, BadRow):
        raise ValueError(f"--uris {name}: {first.message}")
    for text in (path for path, _ in found if fields.version and kind(path) == "text"):
        raise ValueError(
            f"--uris {name}: the list {_shown(name, copies) or text} has one URI per line, and no versions; "
            f"--version_field {fields.version} needs CSV, TSV or JSON lines."
        )


def _first_row(path: str, shown: str | None, fields: Fields) -> Row | BadRow | None:
    """The first row of a file; raises ``ListError`` where the file is damaged in its beginning."""
    first = next(rows(Piece(path, 0, sys.maxsize, shown), fields), None)
    if first is not None:
        checked = Piece(path, 0, _CHECKED_BYTES, shown)
        for _ in lines(checked):
            pass
        if isinstance(first, Row) and fields.version and first.version is None and kind(path) == "jsonl":
            lacking = lacks_version(checked, fields)
            return first if lacking is None else BadRow(path, lacking)
    return first


def list_pieces(name: str, copies: Mapping[str, str], include_hidden: bool = False) -> Iterator[tuple[Any, ...]]:
    """The pieces of the lists that ``name`` matches, as plain tuples; raises ``ListError``."""
    for path, size in _files(name, copies, include_hidden):
        yield from (tuple(piece) for piece in pieces(path, size, name=_shown(name, copies)))


def _files(name: str, copies: Mapping[str, str], include_hidden: bool) -> Iterator[tuple[str, int]]:
    """Paths and sizes in bytes of the files that a name or a glob names; raises ``ListError`` for what is no file."""
    if name in copies:
        yield copies[name], os.path.getsize(copies[name])
        return
    name = local_path(name)
    if "://" not in name and os.path.exists(name):  # whatever characters its name holds
        yield _file(name)
    elif "://" not in name or name.startswith("gs://"):
        for path in sorted(_matches(name, include_hidden)):
            yield _file(path) if "://" not in name else (path, FileSystems.get_filesystem(path).size(path))
    else:
        (match,) = FileSystems.match([name])
        hidden_too = include_hidden or _is_hidden(name)
        for found in sorted(match.metadata_list, key=lambda found: found.path):
            if hidden_too or not _is_hidden(found.path):
                yield found.path, found.size_in_bytes


def _matches(glob: str, include_hidden: bool) -> Iterator[str]:
    """The paths that a glob names, by the rules for images; raises ``ListError``."""
    for found in matches(glob, LeaveOut(include_hidden=include_hidden)):
        if isinstance(found, CannotList):
            raise ListError(f"{shown(found.place)}: {found.message}")
        if isinstance(found, str):
            yield str(found)  # a list's path goes to other processes, its version does not
        elif not glob.startswith("gs://") and not _is_hidden(found.path) and _is_special(found.path):
            yield found.path  # to be refused by name


def _is_hidden(path: str) -> bool:
    return os.path.basename(path).startswith(".")


def _is_special(path: str) -> bool:
    """Whether there is a pipe or a device."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _file(path: str) -> tuple[str, int]:
    """The absolute path of a local file, and its size."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        hint = "; name the lists in it, 'DIR/*.csv' for example" if stat.S_ISDIR(status.st_mode) else ""
        raise ListError(f"{path} is {_kind(status)}, not a list{hint}.")
    if _is_descriptor(os.path.realpath(path)):
        raise ListError(f"{path} can be read only once on this system; write the name of the file.")
    return os.path.abspath(path), status.st_size


def _kind(status: os.stat_result) -> str:
    if stat.S_ISDIR(status.st_mode):
        return "a folder"
    return "a pipe" if _is_pipe(status) else "a device"


def _shown(name: str, copies: Mapping[str, str]) -> str | None:
    return name if name in copies else None


def is_pipe(name: str) -> bool:
    """Whether a list is standard input or a pipe, such as a shell's ``<(...)``."""
    return _is_standard_input(name) or ("://" not in name and os.path.exists(name) and _is_pipe(os.stat(name)))


def _is_standard_input(name: str) -> bool:
    return name in (_STANDARD_INPUT, "/dev/stdin", "/dev/fd/0")


def _is_pipe(status: os.stat_result) -> bool:
    return stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)


def copy_pipes(names: Sequence[str], at_end: ExitStack) -> dict[str, str]:
    """Copies the lists that are pipes to files, which are deleted when ``at_end`` is closed.

    Returns the paths of the copies by the names of the lists; raises ``ValueError`` if a list cannot be copied.
    """
    copies: dict[str, str] = {}
    pipes = list(dict.fromkeys(filter(is_pipe, names)))
    if not pipes:
        return copies
    try:
        folder = at_end.enter_context(tempfile.TemporaryDirectory(prefix="caption-images-"))
        for name in pipes:
            same = next((copy for known, copy in copies.items() if _same(known, name)), None)
            copies[name] = same or _copied(name, folder)
    except OSError as error:
        raise ValueError(
            f"--uris {pipes[len(copies)]}: the pipe cannot be copied ({error.strerror}); TMPDIR names the folder for "
            "copies."
        ) from error
    return copies


def _same(name: str, other: str) -> bool:
    return name == other or (_is_standard_input(name) and _is_standard_input(other))


def _own_name(status: os.stat_result) -> str | None:
    """The name of the regular file that is standard input, if it has one and the system tells it."""
    name = os.path.realpath("/dev/fd/0")
    try:
        known = not _is_descriptor(name) and os.path.samestat(os.stat(name), status)
    except OSError:  # deleted, as a here-document is
        return None
    return name if known and stat.S_ISREG(status.st_mode) else None


def _is_descriptor(path: str) -> bool:
    """Whether a path without links is an open file of this process: on macOS all who open it share one position."""
    return path.startswith("/dev/fd/")


def _copied(name: str, folder: str) -> str:
    """Copies a pipe into the folder, under its own name, whose suffix says what it holds; returns the copy's path."""
    standard_input = _is_standard_input(name)
    with open(0 if standard_input else name, "rb", closefd=not standard_input) as source:
        status = os.fstat(source.fileno())
        own_name = _own_name(status)
        if own_name is not None and source.tell() == 0:  # `< list.csv`
            return own_name
        if not (_is_pipe(status) or stat.S_ISREG(status.st_mode)):  # a regular file without a name: `<<< "$uris"`
            raise ValueError(f"--uris {name}: this is a terminal or a device; pipe the list into the command.")
        path = os.path.join(folder, str(status.st_ino), os.path.basename(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as copy:
            shutil.copyfileobj(source, copy, _COPY_BYTES)
    return path
