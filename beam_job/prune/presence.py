"""Whether one photo is still there. What cannot be told for sure is no answer: storage fails, disks are not mounted."""

import errno
import os
import stat
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from beam_job.images.bounded_calls import BoundedCalls, HangError
from beam_job.images.download import FetchError
from beam_job.images.fetch import Fetcher, FetchLimits
from beam_job.images.local_path import local_path

SILENT = "storage does not answer"

_MOST_HANGING = 128  # threads, beside those that work
# Where systems mount disks: a folder that is missing directly in one of these may be a disk that is not mounted.
_MOUNTS = {"/", "/mnt", "/media", "/run/media", "/Volumes", "/net", "/home", "/Users"}
_MOUNTS_OF_USERS = {"/media", "/run/media"}


class Presence(Enum):
    """What is known of a photo."""

    THERE = "there"
    GONE = "gone"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found of a photo.

    Attributes:
      presence: whether it is there.
      reason: why that is unclear.
      place: its bucket, or its folder; empty for one that is missing as expected.
    """

    presence: Presence
    reason: str = ""
    place: str = ""


class Presences:
    """Looks for photos, from several threads: a stat on disks, one request for metadata on Cloud Storage.

    Args:
      at_once: threads that look at the same time.
      seconds: for one photo, all tries and waits together.
      missing: folders, on disks and in buckets, whose photos count as gone even where all of them are.
    """

    def __init__(self, at_once: int, seconds: float, missing: tuple[str, ...] = ()) -> None:
        self._fetcher = Fetcher(FetchLimits(seconds=seconds), at_once)
        self._calls = BoundedCalls(at_once + _MOST_HANGING)
        self._seconds = seconds
        self._missing = tuple(f"{place.rstrip('/')}/" for place in missing)
        self._doubt = lru_cache(10_000)(_reason_for_doubt)

    def ask(self, uri: str) -> Answer:
        """Looks for one photo; raises ``CredentialsError``."""
        scheme, separator, rest = uri.partition("://")
        if separator and scheme == "gs":
            return self._ask_storage(uri, f"gs://{rest.partition('/')[0]}")
        if separator and scheme != "file":
            return Answer(
                Presence.UNCLEAR, "neither on a disk nor on gs://; to remove their records, name them with --uris"
            )
        try:
            path = local_path(uri)
            if not os.path.isabs(path):
                return Answer(Presence.UNCLEAR, "the path is not absolute")
            return self._calls.call(lambda: self._ask_disk(path), self._seconds)
        except HangError:
            return Answer(Presence.UNCLEAR, "the disk does not answer")
        except OSError as error:
            return Answer(Presence.UNCLEAR, f"the disk says: {error.strerror or type(error).__name__}")
        except ValueError:
            return Answer(Presence.UNCLEAR, "it is no path")

    def _ask_storage(self, uri: str, bucket: str) -> Answer:
        try:
            self._fetcher.version(uri)
        except FetchError as error:
            if error.code == "not_found":
                return Answer(Presence.GONE, place="" if uri.startswith(self._missing) else bucket)
            silent = error.code in ("unavailable", "deadline_exceeded")
            return Answer(Presence.UNCLEAR, SILENT if silent else f"{bucket} says: {error.code}", bucket)
        except ValueError:
            return Answer(Presence.UNCLEAR, f"{bucket} gives no metadata", bucket)
        return Answer(Presence.THERE, place=bucket)

    def _ask_disk(self, path: str) -> Answer:
        try:
            os.stat(path)
        except OSError as error:
            if not _is_missing(error):
                raise
        else:
            return Answer(Presence.THERE, place=os.path.dirname(path))
        if os.path.islink(path):
            return Answer(Presence.UNCLEAR, "it is a link that leads nowhere")
        if path.startswith(self._missing):
            return Answer(Presence.GONE)
        why = self._doubt(os.path.dirname(path))
        return Answer(Presence.UNCLEAR, why) if why else Answer(Presence.GONE, place=os.path.dirname(path))


def _is_missing(error: OSError) -> bool:
    """Whether the disk says that there is no such file; other errors say nothing."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR)


def _is_folder(path: str) -> bool:
    """Whether there is such a folder; raises what the disk says where that is unclear."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        if not _is_missing(error):
            raise
        return False


def _reason_for_doubt(folder: str) -> str:
    """Why the disk of a folder may not be mounted, if it seems so; raises what the disk says.

    Such a disk leaves an empty folder behind, or none in a folder where disks are mounted.
    """
    nearest = folder
    while not _is_folder(nearest):
        if os.path.islink(nearest):
            return f"{nearest} is a link that leads nowhere"
        nearest = os.path.dirname(nearest)
    if nearest != folder and (nearest in _MOUNTS or os.path.dirname(nearest) in _MOUNTS_OF_USERS):
        first = os.path.join(nearest, os.path.relpath(folder, nearest).split(os.sep)[0])
        return f"{first} is missing; its disk may not be mounted"
    with os.scandir(nearest) as entries:
        return "" if any(entries) else f"{nearest} is empty; a disk may not be mounted there"
