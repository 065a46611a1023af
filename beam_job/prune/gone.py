"""Which of the photos in a folder of runs are gone: each is looked for once, and too many missing ones are refused."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from beam_job.messages.quoting import shown
from beam_job.prune.photo_names import PhotoNames, present_name
from beam_job.prune.presence import SILENT, Presence, Presences

AT_ONCE = 32
"""Photos that are looked for at the same time."""

_BATCH = 1024
_MOST_SILENT = 200  # photos of which storage says nothing, one after the other
_MOST_PLACES = 20  # that are named in a message


class MissingPlaceError(ValueError):
    """So much is missing that a disk or a bucket may be unreachable; the message says which, and what to do."""


class SilentStorageError(RuntimeError):
    """Storage does not answer: nothing can be said of the photos in it."""


@dataclass
class Looked:
    """What was found of all photos.

    Attributes:
      gone: those that are no longer there.
      there: how many are.
      unclear: numbers of those of which that cannot be said, by the reason.
    """

    gone: PhotoNames = field(default_factory=PhotoNames)
    there: int = 0
    unclear: Counter[str] = field(default_factory=Counter)


def look_for(uris: Iterable[str], presences: Presences, renamed: tuple[str, str] | None = None) -> Looked:
    """Looks for each photo once, under its name and, where an archive was moved, its other name.

    Memory: about 100 bytes for each photo, and as much again for each that is gone.

    Raises:
      CredentialsError: the Google credentials that are configured do not work.
      MissingPlaceError: more than half of a bucket's photos, or of those on disks, are gone.
      SilentStorageError: storage does not answer.
    """
    looked = Looked()
    counts: dict[str, list[int]] = {}  # there and gone, by the bucket; "" are disks
    disks = ""  # the folder that they have in common
    silent = 0
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="prune") as pool:
        for batch in _batches(_each_once(uris)):
            answers = pool.map(presences.ask, [present_name(uri, renamed) for uri in batch])
            for uri, answer in zip(batch, answers, strict=True):
                silent = silent + 1 if answer.reason == SILENT else 0
                if silent >= _MOST_SILENT:
                    raise SilentStorageError(f"{answer.place} does not answer. Try again later.")
                if answer.presence is Presence.UNCLEAR:
                    looked.unclear[answer.reason] += 1
                    continue
                gone = answer.presence is Presence.GONE
                if gone:
                    looked.gone.add(uri)
                else:
                    looked.there += 1
                if answer.place.startswith("gs://"):
                    counts.setdefault(answer.place, [0, 0])[gone] += 1
                elif answer.place:
                    counts.setdefault("", [0, 0])[gone] += 1
                    disks = os.path.commonpath([disks or answer.place, answer.place])
    _check_places({place or disks: count for place, count in counts.items()})
    return looked


def _check_places(counts: dict[str, list[int]]) -> None:
    missing = [place for place, (there, gone) in counts.items() if gone > there]
    if missing:
        said = ", ".join(
            f"{counts[place][1]:,} of {sum(counts[place]):,} photos in {shown(place)}"
            for place in missing[:_MOST_PLACES]
        )
        raise MissingPlaceError(
            f"{said} are missing, which is more than half. Is the disk mounted, is this the right machine, was the "
            "archive moved (--rename_from and --rename_to)? If they were deleted, add --missing "
            f"{' '.join(map(shown, missing[:_MOST_PLACES]))}"
        )


def _each_once(uris: Iterable[str]) -> Iterator[str]:
    seen = PhotoNames()
    return (uri for uri in uris if seen.add(uri))


def _batches(uris: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(uris, _BATCH)):
        yield batch
