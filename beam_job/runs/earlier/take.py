"""What is left to do: the listed images that no earlier run has captioned, or whose content is another one since."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from beam_job.listing.uris import LISTED
from beam_job.metrics import TO_CAPTION, count
from beam_job.records import EarlierCaption, Failure, Unchanged
from beam_job.runs.earlier.known import CAPTIONED, DONE, LIST, key_of
from beam_job.runs.earlier.packed import GroupPacked, pairs
from beam_job.runs.earlier.portions import send_in_small_portions
from beam_job.runs.earlier.recheck import Recheck

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")  # as lists of JSON have them, up to 1e+308
_PARTS = 6  # known of a caption; the URI that it was captioned under may follow
_COUNTS, _FAILED, _UNSURE, _RENAMED = "counts", "failed", "unsure", "renamed"


class New(NamedTuple):
    """What is left to do.

    Attributes:
      uris: (URI, carried fields, earlier failure or ``None``), one row for each URI that is not captioned yet; with its
        version and its earlier captions, plain tuples like ``EarlierCaption``, where another version is.
      failures: those that listing made, with the failures of earlier runs.
      counts: numbers of (duplicates, URIs that are captioned, those of them whose record has no version to compare).
      renamed: images that are captioned under their old URIs.
    """

    uris: beam.PCollection[tuple[Any, ...]]
    failures: beam.PCollection[Failure]
    counts: beam.PCollection[tuple[int, int, int]]
    renamed: beam.PCollection[Unchanged]


class TakeNew(beam.PTransform):
    """Keeps one row for each URI that was listed and is not captioned yet: ``New``.

    Takes the collections of listed (URI, carried fields), of failures that listing made, and of what is ``known``. All
    that is shuffled for it are the URIs and those failures.

    Args:
      recheck: looks for changes where no version is listed; takes none of these rows without it.
    """

    def __init__(self, recheck: Recheck | None = None) -> None:
        super().__init__()
        self._recheck = recheck

    def expand(self, found: Any) -> Any:
        listed, failures, known = found
        taken = (
            (listed, failures | "FailuresByKey" >> beam.Map(_by_key).with_output_types(tuple[str, Any]), known)
            | "ByUri" >> GroupPacked()
            | "Take"
            >> beam.ParDo(_Take(self._recheck is not None)).with_outputs(
                _COUNTS, _FAILED, _UNSURE, _RENAMED, main="new"
            )
        )
        if self._recheck is None:
            return New(taken.new, taken[_FAILED], taken[_COUNTS], taken[_RENAMED])
        checked = taken[_UNSURE] | "Recheck" >> self._recheck
        return New(
            (taken.new, checked.uris | "CountChanged" >> beam.Map(_counted)) | "AllNew" >> beam.Flatten(),
            taken[_FAILED],
            (taken[_COUNTS], checked.counts) | "AllCounts" >> beam.Flatten(),
            taken[_RENAMED],
        )


def _counted(row: tuple[Any, ...]) -> tuple[Any, ...]:
    count(TO_CAPTION)
    return row


def _by_key(failure: Failure) -> tuple[str, Failure]:
    return key_of(failure.uri, failure.stage, failure.message), failure


class _Image:
    """What is listed and known of one URI.

    It may have been listed a million times, so rows are only counted; of them one's fields and all versions are kept.
    """

    __slots__ = ("captions", "carried", "done", "failed", "latest", "listed", "one", "rows", "source", "versions")

    def __init__(self) -> None:
        self.listed = 0
        self.carried: Any = None
        self.source: str | None = None  # the version of the row with the carried fields
        self.one: str | None = None  # of the listed versions
        self.versions: set[str] | None = None  # all of them, where there are several
        self.done = False
        self.captions: list[tuple[Any, ...]] = []
        self.failed: list[Failure] = []
        self.latest: tuple[Any, ...] | None = None  # the latest run's failure counts
        self.rows: Counter[tuple[Any, ...]] | None = None  # of failures of listing, as many as earlier runs recorded

    def add(self, value: Any) -> None:
        if value is DONE:
            self.done = True
        elif isinstance(value, Failure):
            self.failed.append(value)
        elif not isinstance(value, tuple) or value[0] == LISTED:
            fields, version = value[1:] if isinstance(value, tuple) else (value, None)
            self._add_row(fields, version)
        elif value[0] == CAPTIONED:
            self.captions.append(value[1:])
        elif value[1] == LIST:
            self.rows = self.rows or Counter()
            self.rows[value[1:]] += 1
        elif self.latest is None or value[0] > self.latest[0]:
            self.latest = value

    def _add_row(self, fields: Any, version: str | None) -> None:
        """Adds a row of a list. Rows come in any order, so what is kept of several does not depend on it."""
        self.listed += 1
        if version is not None and version != self.one:
            if self.one is None:
                self.one = version
            else:
                self.versions = self.versions or {self.one}
                self.versions.add(version)
        is_same = (fields, version) == (self.carried, self.source)
        if self.listed == 1 or (not is_same and _order(fields, version) > _order(self.carried, self.source)):
            self.carried, self.source = fields, version

    @property
    def version(self) -> str | None:
        """The listed version; of several a digest of all, which is another one as soon as one comes or goes."""
        if self.versions is None:
            return self.one
        digest = hashlib.sha256(json.dumps(sorted(self.versions)).encode()).hexdigest()
        return f"{len(self.versions)} versions: {digest}"

    def failures(self) -> Iterator[Failure]:
        """The failures of listing, with those of earlier runs."""
        rows = self.rows or Counter()
        for failure in self.failed:
            row = (failure.stage, failure.error, failure.sha256)
            known = row if rows[row] > 0 else None
            rows[row] -= 1
            yield replace(failure, earlier=known if failure.stage == LIST else self.earlier)

    @property
    def earlier(self) -> Any:
        """How the image failed in the latest run that recorded it."""
        return self.latest and self.latest[1:]


class _Take(beam.DoFn):
    """Decides about each URI.

    ``recheck`` has those put aside that are captioned, in a version that is known, and of which no version is listed.
    """

    def __init__(self, recheck: bool) -> None:
        self._recheck = recheck

    def setup(self) -> None:
        send_in_small_portions()

    def start_bundle(self) -> None:
        self._duplicates = self._skipped = self._unversioned = 0

    def process(self, group: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        images: dict[str, _Image] = {}
        for uri, value in pairs(group):
            image = images.get(uri)
            if image is None:
                image = images[uri] = _Image()
            image.add(value)
        for uri, image in images.items():
            if image.failed:
                yield from (TaggedOutput(_FAILED, failure) for failure in image.failures())
            if image.listed:
                self._duplicates += image.listed - 1
                yield from self._decide(uri, image)

    def _decide(self, uri: str, image: _Image) -> Iterator[Any]:
        version = image.version
        # The newest comes last; one under the old URI counts where there is none under the new one.
        captions = sorted(image.captions, key=lambda caption: (len(caption) == _PARTS, caption[0], *caption[3:]))
        captioned = captions[-1][1] if captions else None
        if image.done or (captions and (None in (version, captioned) or version == captioned)):
            renamed = bool(captions) and len(captions[-1]) > _PARTS
            if renamed and self._recheck and version is None and captioned is not None:  # nobody knows its version
                yield _counted((uri, image.carried, image.earlier, None, _contents(captions)))
            elif renamed:
                count(TO_CAPTION)
                _, _, sha256, *place = captions[-1]
                unchanged = Unchanged(uri, image.carried, version or captioned, EarlierCaption(sha256 or "", *place))
                yield TaggedOutput(_RENAMED, unchanged)
            elif self._recheck and version is None and captioned is not None:
                yield TaggedOutput(_UNSURE, (uri, image.carried, image.earlier, captioned, _contents(captions)))
            else:
                self._skipped += 1
                if captions and captioned is None and (self._recheck or version is not None):
                    self._unversioned += 1
        elif version is None:
            yield _counted((uri, image.carried, image.earlier))
        else:
            yield _counted((uri, image.carried, image.earlier, version, _contents(captions)))

    def finish_bundle(self) -> Iterator[Any]:
        counts = (self._duplicates, self._skipped, self._unversioned)
        yield TaggedOutput(_COUNTS, WindowedValue(counts, MIN_TIMESTAMP, (GlobalWindow(),)))


def _order(fields: Any, version: str | None) -> tuple[Any, ...]:
    """Sorts the rows of one image. The last is the newest of those that carry anything, which rows of globs do not."""
    carries = fields is not None and any(value is not None for value in fields.values())
    number = Decimal(version) if version is not None and _NUMBER.fullmatch(version) else None
    return carries, number is not None, number or 0, version or "", json.dumps(fields)


def _contents(captions: Iterable[tuple[Any, ...]]) -> tuple[tuple[Any, ...], ...]:
    """The newest of the captions of each content, as ``EarlierCaption`` has it."""
    return tuple({sha256: (sha256, *place) for _, _, sha256, *place in captions if sha256}.values())
