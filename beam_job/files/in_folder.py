"""The files of a folder: listed by their names, and deleted."""

import fnmatch
import logging
import os
import re

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from beam_job.messages.quoting import shown

_WILDCARD = re.compile(r"[*?[]")


def files_in(directory: str, *pattern: str) -> list[str]:
    """Paths of the files in ``directory``, taken as it is written, that match a pattern of one or more names.

    Raises ``OSError`` where ``directory`` cannot be read, and what other file systems raise.
    """
    if "://" in directory:
        start = _WILDCARD.split(FileSystems.join(directory, *pattern))[0]
        wanted = re.compile(re.escape(FileSystems.join(directory, "")) + "/".join(map(_regex, pattern)))
        found = FileSystems.match([f"{start}**"])[0].metadata_list
        return sorted(file.path for file in found if wanted.fullmatch(file.path))
    paths = [directory] if os.path.isdir(directory) else []
    for names in pattern:
        paths = [os.path.join(path, name) for path in paths for name in fnmatch.filter(_listed(path, directory), names)]
    return sorted(filter(os.path.isfile, paths))


def _listed(path: str, directory: str) -> list[str]:
    try:
        return os.listdir(path)
    except NotADirectoryError:
        return []
    except OSError as error:
        if path == directory:
            raise
        logging.warning("Passed over: %s cannot be read (%s).", shown(path), error.strerror)
        return []


def _regex(names: str) -> str:
    return re.escape(names).replace(r"\*", "[^/]*")


def delete_files(paths: list[str]) -> dict[str, object]:
    """Deletes files, whose names end in a unique part; returns those that are left, and why."""
    left: dict[str, object] = {}
    for path in [path for path in paths if "://" not in path]:
        try:
            os.remove(path)
        except OSError as error:
            left[path] = error
    # Beam takes what it shall delete on gs:// for patterns; the unique part of a name makes them exact.
    remote = [_WILDCARD.sub("?", path) if path.startswith("gs://") else path for path in paths if "://" in path]
    try:
        FileSystems.delete(remote)
    except BeamIOError as error:
        left.update(error.exception_details or dict.fromkeys(remote, error))
    except Exception as error:  # file systems raise what they like
        left.update(dict.fromkeys(remote, error))
    return left
