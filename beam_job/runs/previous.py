"""What earlier runs have captioned, what failed in them, and what is left to do.

A run's captions count as earlier work when it was started with the same model and the same decoding options. Of a run
that ended well, the files that its manifest names are read; of one that was killed, every complete file that it left.

Failures count whatever the model, but for those of the model itself. Only finished runs count, as only they have
reported them. A record that a run marked as known repeats an older one: it is not read, so what is read grows with the
number of images that ever failed, not with the number of nights.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from beam_job.listing.uris import LISTED
from beam_job.records import EarlierCaption, Failure, Unchanged
from beam_job.runs.counters import TO_CAPTION, count
from beam_job.runs.folder import (
    CAPTIONS,
    FAILURES,
    RecordFile,
    UnreadableError,
    is_caption,
    is_failure,
    is_text,
    open_run_folder,
    parse_line,
    run_folders,
)
from beam_job.runs.recheck import Recheck
from beam_job.runs.run import Run

LIST = "list"  # the stage of failures that listing made
_KEY_LENGTH = 200  # characters of a message that tell one fault from another
_HEAD = re.compile(  # of a caption's record
    rb'\{"uri": ("(?:[^"\\]|\\.)*+"), "caption": "(?:[^"\\]|\\.)*+", "score": [-.\de]++, '
    rb'"version": (null|"[^"\\]*+"), "sha256": (null|"[0-9a-f]{64}"), '
)
_PARTS = 6  # known of a caption; the URI that it was captioned under may follow
_CAPTIONED = 2  # stands before what is known of a caption; ``LISTED`` is 1
_DONE = True  # stands where listed URIs have the fields they carry, which are a dictionary or None
_COUNTS, _FAILED, _PASSED_OVER, _UNSURE, _RENAMED = "counts", "failed", "passed_over", "unsure", "renamed"


class Earlier(NamedTuple):
    """What earlier runs left.

    Attributes:
      known: (URI, ``True``) for each that was captioned, or (URI, (2, run, version, sha256, path, offset, length))
        where versions are compared, and behind them the old URI where it was captioned under that one; (URI, (run,
        stage, error, sha256)) for each that failed. For bad rows of lists another key stands in place of the URI.
      passed_over: numbers of runs, files and lines that could not be read.
    """

    known: beam.PCollection[tuple[str, Any]]
    passed_over: beam.PCollection[int]


class ReadEarlier(beam.PTransform):
    """Reads the URIs that earlier runs of ``run.output`` have captioned in the same way, and those that failed.

    Args:
      run: the run that starts.
      recaption: read none of the former.
      versions: read which content of their URIs was captioned.
      renamed: (old, new) beginnings of URIs: what was known under the old one is known under the new one, too.
    """

    def __init__(
        self, run: Run, recaption: bool = False, *, versions: bool = False, renamed: tuple[str, str] | None = None
    ) -> None:
        super().__init__()
        self._renamed = renamed
        self._run = run
        self._recaption = recaption
        self._versions = versions

    def expand(self, pbegin: beam.pvalue.PBegin) -> Any:  # Earlier, which Beam's type hints don't know
        def steps(label: str, found: beam.PCollection, reader: beam.DoFn) -> Any:
            return found | label >> beam.ParDo(reader).with_outputs(_PASSED_OVER, main="found").with_output_types(
                tuple[str, Any]
            )

        runs = (
            pbegin
            | "Output" >> beam.Create([self._run.output])
            | "EarlierRuns" >> beam.FlatMap(earlier_runs, self._run.id)
            | "ReshuffleRuns" >> beam.Reshuffle()
        )
        files = steps(
            "Files", runs, _Files(self._run.model, self._run.options["decoding"], captions=not self._recaption)
        )
        read = steps(
            "Records", files.found | "ReshuffleFiles" >> beam.Reshuffle(), _Records(self._versions, self._renamed)
        )
        return Earlier(read.found, (files[_PASSED_OVER], read[_PASSED_OVER]) | "PassedOver" >> beam.Flatten())


class New(NamedTuple):
    """What is left to do.

    Attributes:
      uris: (URI, carried fields, earlier failure or ``None``), one row for each URI that is not captioned yet; with its
        version and its earlier captions, plain tuples like ``EarlierCaption``, where another version is.
      failures: those that listing made, with the failures of earlier runs.
      counts: numbers of (duplicates, URIs that are captioned).
      renamed: images that are captioned under their old URIs.
    """

    uris: beam.PCollection[tuple[Any, ...]]
    failures: beam.PCollection[Failure]
    counts: beam.PCollection[tuple[int, int]]
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
            | beam.Flatten()
            | "ByUri" >> beam.GroupByKey()
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
    return _key(failure.uri, failure.stage, failure.message), failure


def _key(uri: str, stage: str, message: str) -> str:
    """What tells a failure from others: the URI. A bad row moves as its list grows, but its list and its fault stay."""
    path, mark, place = uri.rpartition("#")
    if stage == LIST and mark and place.isdecimal():
        return f"{path}#{message.partition(': ')[2][:_KEY_LENGTH]}"
    return uri


class _Take(beam.DoFn):
    """Decides about each URI.

    ``recheck`` has those put aside that are captioned, in a version that is known, and of which no version is listed.
    """

    def __init__(self, recheck: bool) -> None:
        self._recheck = recheck

    def start_bundle(self) -> None:
        self._duplicates = self._skipped = 0

    def process(self, grouped: tuple[str, Iterable[Any]]) -> Iterator[Any]:
        uri, values = grouped
        listed, done, carried, version = 0, False, None, None
        captions: list[tuple[Any, ...]] = []
        failed: list[Failure] = []
        latest: tuple[Any, ...] | None = None  # the latest run's failure counts
        rows: Counter[tuple[Any, ...]] = Counter()  # of failures of listing, as many as earlier runs recorded
        for value in values:  # never a list: one URI may have been listed a million times
            if value is _DONE:
                done = True
            elif isinstance(value, Failure):
                failed.append(value)
            elif not isinstance(value, tuple) or value[0] == LISTED:
                fields, named = value[1:] if isinstance(value, tuple) else (value, None)
                carried = carried if listed else fields
                version = max(version or "", named) if named else version  # of several always the same one
                listed += 1
            elif value[0] == _CAPTIONED:
                captions.append(value[1:])
            elif value[1] == LIST:
                rows[value[1:]] += 1
            elif latest is None or value[0] > latest[0]:
                latest = value
        earlier = latest and latest[1:]
        for failure in failed:
            row = (failure.stage, failure.error, failure.sha256)
            known = row if rows[row] > 0 else None
            rows[row] -= 1
            yield TaggedOutput(_FAILED, replace(failure, earlier=known if failure.stage == LIST else earlier))
        if not listed:
            return
        self._duplicates += listed - 1
        # The newest comes last; one under the old URI counts where there is none under the new one.
        captions.sort(key=lambda caption: (len(caption) == _PARTS, caption[0], *caption[3:]))
        captioned = captions[-1][1] if captions else None
        contents = {sha256: (sha256, *place) for _, _, sha256, *place in captions if sha256}
        if done or (captions and (None in (version, captioned) or version == captioned)):
            if captions and len(captions[-1]) > _PARTS:
                count(TO_CAPTION)
                _, _, sha256, *place = captions[-1]
                yield TaggedOutput(
                    _RENAMED, Unchanged(uri, carried, version or captioned, EarlierCaption(sha256 or "", *place))
                )
            elif self._recheck and version is None and captioned is not None:
                yield TaggedOutput(_UNSURE, (uri, carried, earlier, captioned, tuple(contents.values())))
            else:
                self._skipped += 1
        elif version is None:
            yield _counted((uri, carried, earlier))
        else:
            yield _counted((uri, carried, earlier, version, tuple(contents.values())))

    def finish_bundle(self) -> Iterator[Any]:
        counts = (self._duplicates, self._skipped)
        yield TaggedOutput(_COUNTS, WindowedValue(counts, MIN_TIMESTAMP, (GlobalWindow(),)))


class _Files(beam.DoFn):
    """A run's folder to its files that are to be read: (path, (kind, run, whether the model's own failures count))."""

    def __init__(self, model: str, decoding: Mapping[str, Any], *, captions: bool) -> None:
        self._model = model
        self._decoding = decoding
        self._captions = captions

    def process(self, directory: str) -> Iterator[Any]:
        try:
            run = open_run_folder(directory)
        except UnreadableError as error:
            yield _passed_over(f"{directory!r}: {error}")
            return
        alike = run.settings == (self._model, dict(self._decoding))
        name = FileSystems.split(directory)[1]
        if alike and self._captions:
            yield from ((path, (CAPTIONS, name, alike)) for path in run.files(CAPTIONS))
        if run.finished:
            yield from (
                (path, (FAILURES, name, alike))
                for path, entry in run.files(FAILURES).items()
                if entry.get("known") != entry.get("records", -1)
            )
        for problem in run.problems:
            yield _passed_over(f"{directory!r}: {problem}")


class _Records(beam.DoFn):
    """A file of an earlier run to what is known of its URIs.

    ``versions`` says whether it matters which content was captioned; ``renamed`` is as for ``ReadEarlier``.
    """

    def __init__(self, versions: bool, renamed: tuple[str, str] | None) -> None:
        self._versions = versions
        self._old, self._new = renamed or ("", "")

    def _moved(self, uri: str) -> str | None:
        """The new name of an image whose name has the old beginning."""
        return self._new + uri[len(self._old) :] if self._old and uri.startswith(self._old) else None

    def process(self, file: tuple[str, tuple[str, str, bool]]) -> Iterator[Any]:
        path, (kind, run, alike) = file
        if kind == CAPTIONS:
            records = RecordFile(path, _is_caption, parse=parse_caption)
            for record in records:
                if not self._versions and not self._old:
                    yield record["uri"], _DONE
                    continue
                version, sha256 = (
                    value if is_text(value) else None for value in (record.get("version"), record.get("sha256"))
                )
                known = (_CAPTIONED, run, version, sha256, path, *records.place)
                yield record["uri"], known
                if (moved := self._moved(record["uri"])) is not None:
                    yield moved, (*known, record["uri"])
        else:
            records = RecordFile(path, _is_failure)
            for record in records:
                if not record.get("known") and (alike or record["stage"] != "infer"):
                    digest, message = (
                        value if is_text(value) else None for value in (record.get("sha256"), record.get("message"))
                    )
                    key = _key(record["uri"], record["stage"], message or "")
                    failure = (run, record["stage"], record["error"], digest)
                    yield key, failure
                    if (moved := self._moved(key)) is not None:
                        yield moved, failure
        if records.problem:
            yield _passed_over(f"{path!r}: {records.problem}", records.passed_over)


def parse_caption(line: bytes) -> Any:
    """A caption's record; of one that the job has written, what stands up to its digest, however long the rest is.

    Raises ``ValueError``.
    """
    head = _HEAD.match(line)
    if head is None or not line.endswith(b"}]}"):
        return parse_line(line)
    uri, version, sha256 = map(json.loads, head.groups())
    return {"uri": uri, "caption": "", "version": version, "sha256": sha256}


def _is_caption(record: Mapping[str, Any]) -> bool:
    return is_caption(record) and is_text(record["uri"])  # else it could not be shuffled, and no list names it


def _is_failure(record: Mapping[str, Any]) -> bool:
    return is_failure(record) and all(is_text(record[name]) for name in ("uri", "stage", "error"))


def _passed_over(problem: str, number: int = 1) -> TaggedOutput:
    logging.warning("Passed over: %s", problem)
    return TaggedOutput(_PASSED_OVER, number)


def earlier_runs(output: str, this_run: str) -> list[str]:
    """The folders of the runs in ``output``, without this one."""
    return [folder for folder in run_folders(output) if FileSystems.split(folder)[1] != f"run={this_run}"]
