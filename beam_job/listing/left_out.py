"""Files and folders that a glob leaves out although they match."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from beam_job.images.local_path import local_path
from beam_job.listing.patterns import Exists, Patterns, States, parse_name, parse_object, parse_path

SYSTEM = ("@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "Thumbs.db", "desktop.ini")
"""Thumbnails, recycle bins and settings of network storage and of Windows."""

_SYSTEM = {name.casefold() for name in SYSTEM}


@dataclass(frozen=True)
class LeaveOut:
    """What globs leave out, in addition to ``SYSTEM``.

    Attributes:
      exclude: patterns. A pattern without a slash is compared with each name that follows the start of a glob, of files
        and folders. A pattern with a slash is compared with whole paths, and is written like a glob: in a bucket from
        ``gs://`` on. An excluded folder is left out with all its contents.
      include_hidden: include names that start with a dot.
      output: the output folder. If a glob starts in it, only its runs are left out.
    """

    exclude: Sequence[str] = ()
    include_hidden: bool = False
    output: str | None = None


class Rules:
    """``LeaveOut`` for local disks, or for one bucket.

    Args:
      root: the common start of all paths: empty for disks, otherwise ``gs://BUCKET``.
      exists: whether there is a folder at a path of names in the bucket; an object, where the second argument is true.

    Raises:
      ValueError: a pattern is invalid.
    """

    def __init__(self, leave_out: LeaveOut, root: str, exists: Exists = lambda names, last: False) -> None:
        self._include_hidden = leave_out.include_hidden
        globs = [glob.rstrip("/") for glob in leave_out.exclude]
        self._names = [segment for glob in globs if "/" not in glob for segment in parse_name(glob)]
        self._paths = Patterns([pattern for glob in globs for pattern in _paths(glob, root, exists)])
        self._output = _real(leave_out.output, root) if leave_out.output else None
        self.start = self._paths.start
        self.excludes = bool(self._names or self.start)

    def excludes_name(self, name: str) -> bool:
        """Whether ``exclude`` matches a file or folder by its name alone."""
        return any(name == segment.text or segment.match(name) for segment in self._names)

    def below(self, states: States, path: Sequence[str], *, names: bool = False) -> States | None:
        """The states at the end of a path below a folder; ``None`` where something on it is excluded.

        ``names``: compare single names, too.
        """
        for name in path:
            if self._paths.file(states, name) or (names and self.excludes_name(name)):
                return None
            states = self._paths.folder(states, name)
        return states

    def meant(self, path: Sequence[str]) -> States:
        """The states at the end of a path from the root that is meant: no pattern counts for having matched it."""
        return self._paths.passed(path)

    def is_hidden(self, name: str) -> bool:
        return (name.startswith(".") and not self._include_hidden) or name.casefold() in _SYSTEM

    def is_output(self, folder: str, path: str) -> bool:
        """Whether ``path``, in ``folder`` or linked from it, is the output folder or a run; both without links."""
        if self._output is None or not is_within(path, self._output):
            return False
        return not is_within(folder, self._output) or path.removeprefix(f"{self._output}/").startswith("run=")


def root_of(glob: str) -> str:
    """The ``root`` of what a glob matches."""
    return "/".join(glob.split("/")[:3]) if "://" in glob else ""


def check_places(exclude: Sequence[str], images: Sequence[str]) -> None:
    """Raises ``ValueError`` for a pattern whose path is on another disk or bucket than all globs of ``images``."""
    roots = list(dict.fromkeys(map(root_of, images)))
    for glob in exclude:
        try:
            local = local_path(glob.rstrip("/"))
        except ValueError as error:
            raise ValueError(f"{glob}: {error}") from error
        if not any(_applies(local, root) for root in roots):
            path = glob.partition("://")[2].partition("/")[2] if "://" in glob else glob.removeprefix("./").lstrip("/")
            path = path or "FOLDER"
            form = f"{roots[0]}/{path}".lstrip("/")
            raise ValueError(
                f"{glob}: no glob of --images leads to such a path; write '{form}', or '**/{path}' to match anywhere"
            )


def _applies(glob: str, root: str) -> bool:
    """Whether a pattern can match anything with this root."""
    if "/" not in glob or glob.startswith("**/"):
        return True
    return glob.startswith(f"{root}/") if root else "://" not in glob


def _paths(glob: str, root: str, exists: Exists) -> list:
    glob = local_path(glob)
    if "/" not in glob or not _applies(glob, root):
        return []
    if glob.startswith("**/"):
        return parse_object(glob)

    def exists_at_all(names: Sequence[str], last: bool) -> bool:
        return exists(names, False) or (last and exists(names, True))

    return parse_object(glob.removeprefix(f"{root}/"), exists_at_all) if root else parse_path(glob, folders=True)


def _real(output: str, root: str) -> str | None:
    if root:
        return output.rstrip("/")
    return None if "://" in output else os.path.realpath(output)


def is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
