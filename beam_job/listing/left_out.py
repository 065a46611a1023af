"""Which files and folders a glob passes over although it matches them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from beam_job.listing.patterns import Patterns, States, parse_name, parse_object, parse_path

SYSTEM = ("@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "Thumbs.db", "desktop.ini")
"""Thumbnails, recycle bins and settings of network storage and of Windows."""

_SYSTEM = {name.casefold() for name in SYSTEM}


@dataclass(frozen=True)
class LeaveOut:
    """What globs leave out, besides ``SYSTEM``.

    Attributes:
      exclude: patterns. One without a slash is matched with each name, of files and of folders, behind the start of a
        glob; one with a slash with whole paths, and is written as the globs are. A folder goes with all that is in it.
      include_hidden: take names that start with a dot.
      output: the folder that collects runs. Of a glob that starts in it, only the runs are left out.
    """

    exclude: Sequence[str] = ()
    include_hidden: bool = False
    output: str | None = None


class Rules:
    """``LeaveOut`` for local disks, or for one bucket.

    Args:
      root: what paths start with: nothing on disks, ``gs://BUCKET`` otherwise.

    Raises:
      ValueError: a pattern cannot be used.
    """

    def __init__(self, leave_out: LeaveOut, root: str) -> None:
        self._include_hidden = leave_out.include_hidden
        globs = [glob.rstrip("/") for glob in leave_out.exclude]
        self._names = [segment for glob in globs if "/" not in glob for segment in parse_name(glob)]
        self._paths = Patterns([pattern for glob in globs for pattern in _paths(glob, root)])
        self._output = _real(leave_out.output, root) if leave_out.output else None
        self.start = self._paths.start

    def excludes_name(self, name: str) -> bool:
        """Whether ``exclude`` names a file or folder by its name alone."""
        return any(name == segment.text or segment.match(name) for segment in self._names)

    def excludes_path(self, states: States, name: str) -> bool:
        """Whether ``exclude`` names what is called ``name`` in a folder, to whose path ``states`` belong."""
        return self._paths.file(states, name)

    def folder(self, states: States, name: str) -> States:
        """The states of a folder within another."""
        return self._paths.folder(states, name)

    def is_hidden(self, name: str) -> bool:
        return (name.startswith(".") and not self._include_hidden) or name.casefold() in _SYSTEM

    def is_output(self, folder: str, path: str) -> bool:
        """Whether ``path``, in ``folder`` or linked from there, is the output's or a run's; both without links."""
        if self._output is None or not _within(path, self._output):
            return False
        return not _within(folder, self._output) or path.removeprefix(f"{self._output}/").startswith("run=")


def _paths(glob: str, root: str) -> list:
    if glob.startswith("**/"):
        return parse_object(glob)
    if "://" in glob:
        return parse_object(glob.removeprefix(f"{root}/")) if root and glob.startswith(f"{root}/") else []
    return parse_path(glob) if "/" in glob and not root else []


def _real(output: str, root: str) -> str | None:
    if root:
        return output.rstrip("/")
    return None if "://" in output else os.path.realpath(output)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
