"""Writes or restores sidecars in many threads: captions in, outcomes out."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam

from beam_job.export.leftovers import delete_unfinished
from beam_job.export.outcomes import FAILED, LEFT_OUT, STAGE, Outcome
from beam_job.export.selection import CALLED_WRONG
from beam_job.export.xmp.description import OURS, Description
from beam_job.export.xmp.packet import PacketError
from beam_job.export.xmp.places import (
    ADOBE,
    CHANGED,
    FULL,
    THREADS,
    PlaceError,
    folder_of,
    photo_path,
    place_of,
    sidecar_path,
)
from beam_job.export.xmp.sidecar import UNCHANGED, WRITTEN, put, take_back
from beam_job.images.fetch import CredentialsError
from beam_job.messages import unforeseen
from beam_job.messages.quoting import shown
from beam_job.records import labels_of
from beam_job.runs.reviews import CORRECTED, WRONG

LABELS = "labels"

_BATCH = 64
_TRIES = 3  # of reading and writing a sidecar that others are changing
_NO_PLACE = "no place for a sidecar"


@dataclass(frozen=True)
class Sidecars:
    """How sidecars are written.

    Attributes:
      kind: ADOBE or FULL.
      keywords: the carried field that holds keywords: an array, or text with commas. Or LABELS, for the names of what
        the model's image classifier sees.
      overwrite: also replace other people's descriptions.
      dry_run: write nothing.
    """

    kind: str = FULL
    keywords: str | None = None
    overwrite: bool = False
    dry_run: bool = False


class _Wanted(NamedTuple):
    uri: str
    photo: str
    description: Description | None  # None: what was exported is to be taken back


class WriteSidecars(beam.PTransform):
    """Writes each record's sidecar: records to ``Outcome``.

    URIs that share a sidecar are grouped first, as each needs its own; only URIs and captions are shuffled.
    """

    def __init__(self, sidecars: Sidecars) -> None:
        super().__init__()
        self._sidecars = sidecars

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        placed = records | "Place" >> beam.Map(_placed, self._sidecars).with_output_types(tuple[str, Any])
        return (
            placed
            | "BySidecar" >> beam.GroupByKey()
            | "Batch" >> beam.BatchElements(min_batch_size=_BATCH, max_batch_size=_BATCH)
            | "Write" >> beam.ParDo(_InThreads(_write, self._sidecars))
        )


class TakeBackSidecars(beam.PTransform):
    """Restores the sidecars of images: URIs to ``Outcome``; sidecars of both kinds are checked."""

    def __init__(self, sidecars: Sidecars) -> None:
        super().__init__()
        self._sidecars = sidecars

    def expand(self, uris: beam.PCollection) -> beam.PCollection:
        return (
            uris
            | "BothKinds" >> beam.FlatMap(_both_kinds)
            | "Once" >> beam.CombinePerKey(min)
            | "Batch" >> beam.BatchElements(min_batch_size=_BATCH, max_batch_size=_BATCH)
            | "TakeBack" >> beam.ParDo(_InThreads(_take_back, self._sidecars))
        )


class _InThreads(beam.DoFn):
    """Calls a function for each element of a batch, a sidecar and more, in threads; it gives the outcomes."""

    def __init__(self, function: Callable[..., list[Outcome]], sidecars: Sidecars) -> None:
        self._function = function
        self._sidecars = sidecars

    def setup(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "sidecars")
        self._tidy: set[str] = set()

    def process(self, batch: list[Any]) -> Iterator[Outcome]:
        if not self._sidecars.dry_run:
            folders = {folder for folder in map(folder_of, (sidecar for sidecar, _ in batch)) if folder}
            for folder in folders - self._tidy:
                delete_unfinished(folder)
            self._tidy |= folders
        for outcomes in self._threads.map(lambda element: self._function(element, self._sidecars), batch):
            yield from outcomes

    def teardown(self) -> None:
        self._threads.shutdown(wait=False)


def _placed(record: dict[str, Any], sidecars: Sidecars) -> tuple[str, Any]:
    """A sidecar's path and what is to be in it; for images without one an outcome, under a key of its own."""
    uri = record["uri"]
    try:
        photo = photo_path(uri)
    except PlaceError as error:
        return f"\0{uri}", Outcome(FAILED, uri, code=error.code, message=str(error))
    if photo is None:
        return f"\0{uri}", Outcome(LEFT_OUT, uri, code=_NO_PLACE)
    sidecar = sidecar_path(photo, sidecars.kind)
    if sidecar == photo:
        message = "The image has the name of its sidecar, which would overwrite it."
        return f"\0{uri}", Outcome(FAILED, uri, code="bad_uri", message=message)
    return sidecar, _Wanted(uri, photo, _description(record, sidecars))


def _description(record: dict[str, Any], sidecars: Sidecars) -> Description | None:
    verdict = record.get("verdict")
    if verdict == WRONG:
        return None
    writer = "" if verdict == CORRECTED else f"beam-captioner, model {record.get('model')}"
    keywords = record.get(sidecars.keywords) if sidecars.keywords else None
    if sidecars.keywords == LABELS:
        keywords = [label.name for label in labels_of(record)]
    words = keywords.split(",") if isinstance(keywords, str) else keywords if isinstance(keywords, list) else []
    texts = dict.fromkeys(word.strip() for word in words if isinstance(word, str) and word.strip())
    return Description(record["caption"], writer, tuple(texts))


def _write(grouped: tuple[str, Iterable[Any]], sidecars: Sidecars) -> list[Outcome]:
    sidecar, found = grouped[0], list(grouped[1])
    if isinstance(found[0], Outcome):
        return found
    if len(found) > 1:
        message = _conflict(sidecar, found)
        return [Outcome(FAILED, uri, sidecar, "conflict", message) for uri in sorted(wanted.uri for wanted in found)]
    wanted = found[0]
    outcome = _guarded(wanted.uri, sidecar, lambda: _put(wanted, sidecar, sidecars))
    return [outcome] if outcome else []


def _conflict(sidecar: str, found: Sequence[_Wanted]) -> str:
    photo, number = Counter(wanted.photo for wanted in found).most_common(1)[0]
    if number == 1:
        return f"{len(found)} images share the sidecar {sidecar}; use --sidecar {FULL} to give each its own."
    names = ", ".join(shown(uri, 300) for uri in sorted(wanted.uri for wanted in found if wanted.photo == photo)[:3])
    return (
        f"{number} URIs name one file, which can have one caption, such as {names}. List these URIs in a file, remove "
        "their captions with `python -m beam_job.prune DIR --uris FILE --delete`, and caption the image under one."
    )


def _put(wanted: _Wanted, sidecar: str, sidecars: Sidecars) -> Outcome:
    if wanted.description is None:
        restored = _restore(wanted.uri, sidecar, sidecars)
        if restored is not None and restored.what == WRITTEN:
            return restored
        return Outcome(LEFT_OUT, wanted.uri, sidecar, CALLED_WRONG)
    place = place_of(sidecar)
    before = place.read(sidecar)
    if before is None and not place.exists(wanted.photo):
        raise PlaceError("not_found", "The image no longer exists.")
    what, data = put(before and before.data, wanted.description, overwrite=sidecars.overwrite)
    if what == WRITTEN and not sidecars.dry_run:
        place.write(sidecar, data, before)
    return Outcome(what, wanted.uri, sidecar, caption=wanted.description.caption)


def _both_kinds(uri: str) -> Iterator[tuple[str, str]]:
    photo = None
    with suppress(PlaceError):  # nothing was ever written for it
        photo = photo_path(uri)
    if photo is not None:
        yield from ((sidecar, uri) for sidecar in {sidecar_path(photo, kind) for kind in (ADOBE, FULL)})


def _take_back(element: tuple[str, str], sidecars: Sidecars) -> list[Outcome]:
    sidecar, uri = element
    outcome = _guarded(uri, sidecar, lambda: _restore(uri, sidecar, sidecars))
    return [outcome] if outcome else []


def _restore(uri: str, sidecar: str, sidecars: Sidecars) -> Outcome | None:
    place = place_of(sidecar)
    before = place.read(sidecar)
    if before is None:
        return None
    try:
        after = take_back(before.data)
    except PacketError:
        if OURS.encode() in before.data:
            raise
        after = before.data  # another program's file, whatever it is
    if after == before.data:
        return Outcome(UNCHANGED, uri, sidecar)
    if not sidecars.dry_run:
        if after is None:
            place.delete(sidecar, before)
        else:
            place.write(sidecar, after, before)
    return Outcome(WRITTEN, uri, sidecar)


def _guarded(uri: str, sidecar: str, function: Callable[[], Outcome | None]) -> Outcome | None:
    try:
        return _again_after_changes(function)
    except (PacketError, PlaceError) as error:
        return Outcome(FAILED, uri, sidecar, error.code, str(error))
    except CredentialsError:  # no other sidecar in a bucket would fare better: the export ends
        raise
    except Exception as error:  # a fault of ours costs this image alone
        message = unforeseen.logged(uri, STAGE, type(error).__name__, str(error), unforeseen.trace_of(error))
        return Outcome(FAILED, uri, sidecar, unforeseen.CODE, message)


def _again_after_changes(function: Callable[[], Outcome | None]) -> Outcome | None:
    """Calls it again where somebody changed the sidecar after it was read: it then reads what they wrote."""
    for _ in range(_TRIES - 1):
        try:
            return function()
        except PlaceError as error:
            if error.code != CHANGED:
                raise
    return function()
