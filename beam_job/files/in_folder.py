"""The files of a folder: listed by their names, and deleted."""

import fnmatch
import itertools
import logging
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import LINK, NO_PERMISSION
from beam_job.messages.quoting import shown

_BATCH = 100  # objects that Cloud Storage deletes with a request
_THREADS = 8
_WILDCARD = re.compile(r"[*?[]")


def files_in(directory: str, *pattern: str, unread: dict[str, str] | None = None) -> list[str]:
    """Paths of the files in ``directory``, taken as it is written, that match a pattern of one or more names.

    Raises ``OSError`` where ``directory`` or the disk cannot be read, and what other file systems raise.

    Args:
      unread: takes the folders in ``directory`` that are not read, each with the reason: links, which lead out of it,
        and those that this account may not read; without it, warnings name them.
    """
    if "://" in directory:
        start = _WILDCARD.split(FileSystems.join(directory, *pattern))[0]
        wanted = re.compile(re.escape(FileSystems.join(directory, "")) + "/".join(map(_regex, pattern)))
        found = FileSystems.match([f"{start}**"])[0].metadata_list
        return sorted(file.path for file in found if wanted.fullmatch(file.path))
    paths = [directory] if os.path.isdir(directory) else []
    for names in pattern:
        listed = {path: _listed(path, directory, unread) for path in paths}
        paths = [os.path.join(path, name) for path in paths for name in fnmatch.filter(listed[path], names)]
    return sorted(filter(_is_file, paths))


def _listed(path: str, directory: str, unread: dict[str, str] | None) -> list[str]:
    reason = LINK
    try:
        if path == directory or not os.path.islink(path):
            return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        if path == directory:
            raise
        reason = NO_PERMISSION
    if unread is None:
        logging.warning("Passed over: %s %s.", shown(path), reason)
    else:
        unread[path] = reason
    return []


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except PermissionError:
        return True  # whoever opens it says that it cannot be read
    except OSError:
        return os.path.islink(path)  # it leads nowhere, such as to a disk that is not mounted: the same


def _regex(names: str) -> str:
    return re.escape(names).replace(r"\*", "[^/]*")


def delete_files(paths: list[str]) -> dict[str, object]:
    """Deletes files; returns those that are left, and why."""
    left: dict[str, object] = {}
    local, objects, others = list[str](), list[str](), list[str]()
    for path in paths:
        (objects if path.startswith("gs://") else others if "://" in path else local).append(path)
    for path in local:
        try:
            os.remove(path)
        except OSError as error:
            left[path] = error
    for delete, remote in ((_delete_objects, objects), (_delete_others, others)):
        try:
            left.update(delete(remote) if remote else {})
        except Exception as error:  # file systems raise what they like
            left.update(dict.fromkeys(remote, error))
    return left


def _delete_objects(paths: list[str]) -> dict[str, object]:
    """Deletes objects of Cloud Storage, a hundred with a request: Beam's own ``delete`` takes two requests for each."""

    def delete(batch: list[str]) -> list[tuple[str, int | None]]:
        return FileSystems.get_filesystem(batch[0])._gcsIO().delete_batch(batch)  # noqa: SLF001

    batches = [paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)]
    with ThreadPoolExecutor(_THREADS) as threads:
        statuses = itertools.chain.from_iterable(threads.map(delete, batches))
        return {path: f"HTTP status {status}" for path, status in statuses if status}


def _delete_others(paths: list[str]) -> dict[str, object]:
    try:
        FileSystems.delete(paths)
    except BeamIOError as error:
        return dict(error.exception_details or dict.fromkeys(paths, error))
    return {}
