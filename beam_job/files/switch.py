"""Many files of a folder replaced at once: readers find all of the old ones, or all of the new ones.

The new files lie beside the old ones, under names that no reader looks for, until one file in the folder,
``prune.json``, names them: from then on readers who ask for the ``places`` of a file are led to the new one. Then each
is put in its place, the old files are deleted, and ``prune.json`` says so. Whoever is killed meanwhile leaves it
whole, as before or as after; ``complete`` ends what was begun.

``prune.json`` also names the owner of the folder. ``begin`` takes the folder over from whoever owns it: nobody can tell
whether that one was killed or is slow. An owner that had not switched yet has changed nothing; its new files go, and
its ``commit`` is refused. What an owner has switched is completed before the folder is taken over. Files that another
owner may have written are deleted by the owner only: what was listed after ``begin``, once ``commit`` was not refused.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TypeVar

from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import UnreadableError, is_text, read_bytes, read_document
from beam_job.files.in_folder import delete_files
from beam_job.files.whole import write_whole

T = TypeVar("T")

SWITCH = "prune.json"
STAGED = ".pruned"
"""How the names of files end that wait to be put in their places."""

BEGUN, SWITCHED, DONE = "begun", "switched", "done"

_ID = re.compile(r"[0-9TZ]+-[0-9a-f]+")


class TakenOverError(RuntimeError):
    """Somebody else has begun to replace files of the folder; the message says what to do."""


@dataclass(frozen=True)
class Switch:
    """Files of a folder that are replaced at once.

    Attributes:
      id: names it; sorts by time.
      state: ``BEGUN``: the old files count; ``SWITCHED``: the new ones do, wherever they are; ``DONE``: they are in
        their places.
      replaced: the files, from the folder on, as ``run=1/manifest.json``.
      deleted: those that go, in the same way.
    """

    id: str
    state: str
    replaced: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    def staged(self, path: str) -> str:
        """Where the new file lies that will be put at ``path``."""
        return f"{path}.{self.id}{STAGED}"


def read_switch(folder: str) -> Switch | None:
    """The latest switch of a folder; ``None`` where there was none; raises ``UnreadableError``."""
    found = read_document(FileSystems.join(folder, SWITCH))
    if found is None:
        return None
    name, state, replaced, deleted = (found.get(key) for key in ("id", "state", "replaced", "deleted"))
    if not (isinstance(name, str) and _ID.fullmatch(name)) or state not in (BEGUN, SWITCHED, DONE):
        raise UnreadableError("is not as a prune writes it")
    if not isinstance(replaced, list) or not isinstance(deleted, list) or not all(map(_is_inside, replaced + deleted)):
        raise UnreadableError("is not as a prune writes it")
    if any(_is_linked(folder, name.rpartition("/")[0]) for name in {*replaced, *deleted}):
        raise UnreadableError("names files in a folder that is a symbolic link")
    return Switch(name, str(state), tuple(replaced), tuple(deleted))


def _is_inside(path: object) -> bool:
    """Whether it names a file in the folder, or in a folder of it: nobody else's files are deleted."""
    return is_text(path) and "\\" not in str(path) and all(part not in ("", ".", "..") for part in str(path).split("/"))


def _is_linked(folder: str, inner: str) -> bool:
    """Whether a link is on the way from the folder to one in it."""
    if "://" in folder or not inner:
        return False
    return os.path.islink(os.path.join(folder, inner)) or _is_linked(folder, inner.rpartition("/")[0])


def places(switch: Switch | None, folder: str, name: str) -> list[str]:
    """Where the file ``name`` of the folder is, in the order in which to look: the first one that is there counts."""
    path = FileSystems.join(folder, *name.split("/"))
    waiting = switch is not None and switch.state == SWITCHED and name in switch.replaced
    return [switch.staged(path), path] if switch is not None and waiting else [path]


def steady(folder: str, read: Callable[[], T]) -> T:
    """What ``read`` returns, all of it from before a switch or all from after it: it is called again where one came."""
    while True:
        before = _seen(folder)
        found = read()
        if _seen(folder) == before:
            return found


def _seen(folder: str) -> Switch | None:
    with suppress(UnreadableError):  # whoever opens a run says so
        return read_switch(folder)
    return None


def begin(folder: str, name: str) -> None:
    """Takes the folder over for a switch whose new files are still to be written.

    One that was only begun ends by that; one that came is completed first. Raises ``TakenOverError``.
    """
    finish_earlier(folder)
    _write(folder, Switch(name, BEGUN))


def commit(folder: str, switch: Switch) -> None:
    """Makes the new files count, all at once.

    Raises:
      TakenOverError: another switch was begun meanwhile.
    """
    if not all(map(_is_inside, (*switch.replaced, *switch.deleted))):
        raise ValueError(f"{switch} names files outside of {folder}")
    _check_owner(folder, switch, BEGUN)
    _write(folder, switch)


def finish_earlier(folder: str) -> dict[str, object] | None:
    """Completes a switch that came but is not done; returns files that are left, or ``None`` without such a switch."""
    switch = read_switch(folder)
    return complete(folder, switch) if switch is not None and switch.state == SWITCHED else None


def complete(folder: str, switch: Switch) -> dict[str, object]:
    """Puts the new files of a committed switch in their places and deletes the old ones; returns those left, and why.

    What was done of it before is passed over.
    """
    inside = [FileSystems.join(folder, *name.split("/")) for name in switch.replaced]
    for path in inside:
        data = read_bytes(switch.staged(path))
        if data is not None:
            _check_owner(folder, switch, SWITCHED)
            write_whole(path, data)
    old = [FileSystems.join(folder, *name.split("/")) for name in switch.deleted]
    _check_owner(folder, switch, SWITCHED)
    left = delete_files([path for path in [*old, *map(switch.staged, inside)] if FileSystems.exists(path)])
    _check_owner(folder, switch, SWITCHED)
    _write(folder, Switch(switch.id, DONE))
    return left


def _check_owner(folder: str, switch: Switch, state: str) -> None:
    # Between this and the write that follows somebody else may still begin: no file system of Beam's compares and sets.
    found = read_switch(folder)
    if found is None or (found.id, found.state) != (switch.id, state):
        raise TakenOverError(f"Another prune of {folder} was started meanwhile; let it end, then start this one again.")


def _write(folder: str, switch: Switch) -> None:
    lists: dict[str, Sequence[str]] = {"replaced": list(switch.replaced), "deleted": list(switch.deleted)}
    text = json.dumps({"format": 1, **asdict(switch), **lists}, indent=1)
    write_whole(FileSystems.join(folder, SWITCH), f"{text}\n".encode())
