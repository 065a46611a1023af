"""Finds the images that match a glob, on local disks and on gs://, without keeping a whole listing in memory.

for found in matches("photos/**/*.jpg", LeaveOut(output="captions")):
    ...     # a Match; LeftOut for a file or folder that is left out; CannotList for a folder that cannot be read
"""

import errno
import heapq
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

from beam_job.images.fetch import version_of_file
from beam_job.listing.bucket import exists, objects
from beam_job.listing.left_out import LeaveOut, Rules, is_within
from beam_job.listing.patterns import Patterns, States, parse_object, parse_path

ERRORS = {"cannot_list": "A folder that a glob matches cannot be listed; its images are unknown."}
"""Every code that a ``CannotList`` becomes, and what it means."""

_SHOWN = 300  # characters of a path in a message
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


class Match(str):
    """The path of an image; ``version`` says which content it had when it was listed, where that is known."""

    __slots__ = ("version",)
    version: str | None

    def __new__(cls, path: str, version: str | None) -> "Match":
        match = super().__new__(cls, path)
        match.version = version
        return match

    def __getnewargs__(self) -> tuple[str, str | None]:  # type: ignore[override] # for copies and pickles
        return str(self), self.version


class LeftOut(NamedTuple):
    """A file or folder that matches a glob but is left out. A folder counts once, with all its contents."""

    path: str


class CannotList(NamedTuple):
    """A folder that cannot be listed; ``message`` is a sentence that says why."""

    place: str
    message: str


Found: TypeAlias = str | LeftOut | CannotList
"""What ``matches`` gives; its paths are each a ``Match``."""


def matches(glob: str, leave_out: LeaveOut = LeaveOut()) -> Iterator[Found]:
    """Yields the images that match ``glob``, each once, in the order of the listing.

    Symbolic links to folders are followed after all other folders, and each folder is listed once: so loops end, and a
      file that can be reached in two ways is named by the path without a link. Only names are compared, not contents;
      FIFOs and devices are left out. Only the paths of folders are kept in memory.

    Raises:
      ValueError: the glob is invalid.
      ListingError: a bucket cannot be listed.
    """
    yield from _in_bucket(glob, leave_out) if glob.startswith("gs://") else _on_disk(glob, leave_out)


class _Folder(NamedTuple):
    """A folder on the way.

    Attributes:
      path: as it is named.
      real: its path without links.
      states, excluded: how far the glob and what it excludes are matched.
      starts: the folders above that the glob itself names.
      tops: the folders on the way below which names are compared: where the first wildcard is, and behind each link
        after it. None on the way that is the start of the glob.
    """

    path: str
    real: str
    states: States
    excluded: States
    starts: tuple["_Folder", ...] = ()
    tops: tuple["_Folder", ...] = ()

    def path_to(self, real: str) -> list[str] | None:
        """The names from here to a path without links; ``None`` if it is not in this folder."""
        return real.removeprefix(self.real).split("/")[1:] if is_within(real, self.real) else None


class _Walk:
    """What becomes of each name that is met, on disks as in buckets."""

    def __init__(self, patterns: Patterns, rules: Rules) -> None:
        self.patterns = patterns
        self._rules = rules

    def top(self, path: str) -> _Folder:
        return _Folder(path, path, self.patterns.start, self._rules.start)

    def folder(self, parent: _Folder, name: str, real: str) -> _Folder | LeftOut | None:
        """The folder ``name`` in ``parent``; ``None`` where the glob does not lead into it."""
        states = self.patterns.folder(parent.states, name)
        if not states:
            return None
        path = f"{parent.path}/{name}"
        starts, tops = self._compared(parent)
        excluded = self._rules.below(parent.excluded, [name], names=bool(tops))
        is_link = real != f"{parent.real}/{name}"
        if is_link and excluded is not None:
            excluded = self._behind_link(parent, excluded, real)
        if excluded is None:
            return LeftOut(path)
        if self._rules.is_hidden(name) or self._rules.is_output(parent.real, real):
            states = self.patterns.folder(parent.states, name, meant=True)
        if not states:
            return LeftOut(path)
        folder = _Folder(path, real, states, excluded, starts, tops)
        return folder._replace(tops=(*tops, folder)) if is_link and tops else folder

    def _compared(self, parent: _Folder) -> tuple[tuple[_Folder, ...], tuple[_Folder, ...]]:
        """``starts`` and ``tops`` of what is in a folder."""
        if parent.tops:
            return parent.starts, parent.tops
        return (*parent.starts, parent), (parent,) if self.patterns.names(parent.states) is None else ()

    def _behind_link(self, parent: _Folder, excluded: States, real: str, *, is_file: bool = False) -> States | None:
        """``excluded``, also by the path that a link in ``parent`` leads to.

        ``None`` if that is excluded, or in an excluded folder. What the glob itself names is meant, wherever it leads.
        """
        starts, tops = self._compared(parent)
        if not tops:
            return excluded | self._rules.meant(real.split("/")[1:])
        below = [(top, path) for top in tops if (path := top.path_to(real)) is not None]
        ways = [self._rules.below(top.excluded, path, names=True) for top, path in below]
        if not below:
            above = [(start, path) for start in starts if (path := start.path_to(real)) is not None]
            start, path = max(above, key=lambda way: len(way[0].real))
            if any(map(self._rules.excludes_name, path[-2 if is_file else -1 :])):
                return None
            ways = [self._rules.below(start.excluded, path)]
        for way in ways:
            if way is None:
                return None
            excluded |= way
        return excluded

    def file(self, parent: _Folder, name: str, *, is_link: bool = False) -> str | LeftOut | None:
        """The path of the file ``name`` in ``parent``; ``None`` where the glob does not name it."""
        if not self.patterns.file(parent.states, name):
            return None
        path = f"{parent.path}/{name}"
        excluded = self._rules.below(parent.excluded, [name], names=True)
        if is_link and excluded is not None and self._rules.excludes:
            excluded = self._behind_link(parent, excluded, os.path.realpath(path), is_file=True)
        if excluded is None:
            return LeftOut(path)
        hidden = self._rules.is_hidden(name) and not self.patterns.file(parent.states, name, meant=True)
        return LeftOut(path) if hidden else path


def _on_disk(glob: str, leave_out: LeaveOut) -> Iterator[Found]:
    walk = _Walk(Patterns(parse_path(glob)), Rules(leave_out, ""))
    walked: dict[str, States] = {}
    folders, linked = [walk.top("")], list[_Folder]()
    while folders or linked:
        # Links in the order of their paths: of two to one folder it is always the same that names its files.
        folder = folders.pop() if folders else heapq.heappop(linked)
        before = folder._replace(states=walked.get(folder.real, frozenset()))
        walked[folder.real] = (before.states | folder.states) if before.states else folder.states
        folder = folder._replace(states=folder.states - before.states)
        if not folder.states:
            continue
        try:
            for entry in _entries(folder.path or "/", walk.patterns.names(folder.states)):
                found, is_link = _look_at(entry, folder, walk)
                if isinstance(found, _Folder):
                    heapq.heappush(linked, found) if is_link else folders.append(found)
                elif found is not None and not (before.states and _known(found, _look_at(entry, before, walk)[0])):
                    yield Match(found, _version(entry)) if isinstance(found, str) else found
        except OSError as error:
            yield CannotList(folder.path or "/", f"The folder cannot be listed ({error.strerror or error}).")


def _entries(folder: str, names: Iterable[str] | None) -> Iterator[os.DirEntry | Path]:
    """What is in a folder; where only ``names`` matter they are looked up, which needs no leave to read the folder."""
    if names is None:
        with os.scandir(folder) as entries:
            yield from entries
        return
    for name in sorted(names):
        path = Path(folder, name)
        try:
            path.lstat()
        except OSError as error:
            if error.errno not in _MISSING:
                raise
            continue
        yield path


def _look_at(entry: os.DirEntry | Path, folder: _Folder, walk: _Walk) -> tuple[_Folder | Found | None, bool]:
    """What the entry of a folder is to the glob, and whether it is a link."""
    name, path, is_link = entry.name, os.fspath(entry), True
    try:
        is_link = entry.is_symlink() or name == ".."
        mode = os.stat(path).st_mode if is_link else 0
        is_folder = stat.S_ISDIR(mode) if is_link else entry.is_dir()
        is_file = stat.S_ISREG(mode) if is_link else entry.is_file()
    except OSError as error:  # a link that leads nowhere, in a circle, or to where this account may not look
        found = walk.file(folder, name, is_link=is_link) or walk.folder(folder, name, os.path.realpath(path))
        if isinstance(found, _Folder):
            return CannotList(path, f"The link cannot be followed ({error.strerror or error})."), is_link
        return found, is_link
    if is_folder:
        return walk.folder(folder, name, os.path.realpath(path) if is_link else f"{folder.real}/{name}"), is_link
    found = walk.file(folder, name, is_link=is_link)
    return LeftOut(found) if isinstance(found, str) and not is_file else found, is_link


def _version(entry: os.DirEntry | Path) -> str | None:
    try:
        return version_of_file(entry.stat())
    except OSError:  # a link that leads nowhere; it will be a failure
        return None


def _known(found: Found, before: _Folder | Found | None) -> bool:
    """Whether the folder, when other patterns led into it, had given this already."""
    return isinstance(before, str) or (before is not None and not isinstance(found, str))


def _in_bucket(glob: str, leave_out: LeaveOut) -> Iterator[Found]:
    bucket, _, pattern = glob.removeprefix("gs://").partition("/")
    if not bucket or set(bucket) & set("*?[]{}"):
        raise ValueError("write a glob over a bucket as gs://BUCKET/GLOB, without wildcards in the bucket's name")
    root = f"gs://{bucket}"
    in_bucket = partial(exists, bucket)
    walk = _Walk(Patterns(parse_object(pattern, in_bucket)), Rules(leave_out, root, in_bucket))
    here, folder, told = None, None, None
    for prefix, is_whole in walk.patterns.prefixes():
        for name, size, version in objects(bucket, prefix, is_whole=is_whole):
            *parents, file = name.split("/")
            if parents != here:  # objects come by their names, so that those of a folder come together
                here, folder = parents, _descend(walk, root, parents)
            if isinstance(folder, LeftOut) and folder != told:
                yield (told := folder)
            if isinstance(folder, _Folder):
                found = walk.file(folder, file)
                is_placeholder = size == 0 and (not file or file.endswith("_$folder$"))
                if isinstance(found, str):
                    yield LeftOut(found) if is_placeholder else Match(found, version)
                elif found is not None:
                    yield found


def _descend(walk: _Walk, root: str, names: Sequence[str]) -> _Folder | LeftOut | None:
    folder = walk.top(root)
    for name in names:
        found = walk.folder(folder, name, f"{folder.path}/{name}")
        if not isinstance(found, _Folder):
            return found
        folder = found
    return folder
