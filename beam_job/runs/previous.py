"""What earlier runs have captioned, what failed in them, and what is left to do.

A run's captions count as earlier work when it was started with the same model and the same decoding options. Of a run
that ended well, the files that its manifest names are read; of one that was killed, every complete file that it left.

Failures count whatever the model, but for those of the model itself. Only finished runs count, as only they have
reported them. A record that a run marked as known repeats an older one: it is not read, so what is read grows with the
number of images that ever failed, not with the number of nights.
"""

import logging
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

from beam_job.records import EarlierFailure, Failure
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
    run_folders,
)
from beam_job.runs.run import Run

LIST = "list"  # the stage of failures that listing made
_KEY_LENGTH = 200  # characters of a message that tell one fault from another
_DONE = True  # stands where listed URIs have the fields they carry, which are a dictionary or None
_COUNTS, _FAILED, _PASSED_OVER = "counts", "failed", "passed_over"


class Earlier(NamedTuple):
    """What earlier runs left.

    Attributes:
      known: (URI, ``True``) for each that was captioned, (URI, (run, stage, error, sha256)) for each that failed. For
        bad rows of lists another key stands in place of the URI.
      passed_over: numbers of runs, files and lines that could not be read.
    """

    known: beam.PCollection[tuple[str, Any]]
    passed_over: beam.PCollection[int]


class ReadEarlier(beam.PTransform):
    """Reads the URIs that earlier runs of ``run.output`` have captioned in the same way, and those that failed.

    ``recaption`` makes it read none of the former.
    """

    def __init__(self, run: Run, recaption: bool = False) -> None:
        super().__init__()
        self._run = run
        self._recaption = recaption

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
        read = steps("Records", files.found | "ReshuffleFiles" >> beam.Reshuffle(), _Records())
        return Earlier(read.found, (files[_PASSED_OVER], read[_PASSED_OVER]) | "PassedOver" >> beam.Flatten())


class New(NamedTuple):
    """What is left to do.

    Attributes:
      uris: (URI, carried fields, earlier failure or ``None``), one row for each URI that is not captioned yet.
      failures: those that listing made, with the failures of earlier runs.
      counts: numbers of (duplicates, URIs that are captioned).
    """

    uris: beam.PCollection[tuple[str, dict[str, Any] | None, EarlierFailure | None]]
    failures: beam.PCollection[Failure]
    counts: beam.PCollection[tuple[int, int]]


class TakeNew(beam.PTransform):
    """Keeps one row for each URI that was listed and is not captioned yet: ``New``.

    Takes the collections of listed (URI, carried fields), of failures that listing made, and of what is ``known``. All
    that is shuffled for it are the URIs and those failures.
    """

    def expand(self, found: Any) -> Any:
        listed, failures, known = found
        taken = (
            (listed, failures | "FailuresByKey" >> beam.Map(_by_key).with_output_types(tuple[str, Any]), known)
            | beam.Flatten()
            | "ByUri" >> beam.GroupByKey()
            | "Take" >> beam.ParDo(_Take()).with_outputs(_COUNTS, _FAILED, main="new")
        )
        return New(taken.new, taken[_FAILED], taken[_COUNTS])


def _by_key(failure: Failure) -> tuple[str, Failure]:
    return _key(failure.uri, failure.stage, failure.message), failure


def _key(uri: str, stage: str, message: str) -> str:
    """What tells a failure from others: the URI. A bad row moves as its list grows, but its list and its fault stay."""
    path, mark, place = uri.rpartition("#")
    if stage == LIST and mark and place.isdecimal():
        return f"{path}#{message.partition(': ')[2][:_KEY_LENGTH]}"
    return uri


class _Take(beam.DoFn):
    def start_bundle(self) -> None:
        self._duplicates = self._skipped = 0

    def process(self, grouped: tuple[str, Iterable[Any]]) -> Iterator[Any]:
        uri, values = grouped
        listed, done, carried = 0, False, None
        failed: list[Failure] = []
        latest: tuple[Any, ...] | None = None  # the latest run's failure counts
        rows: Counter[tuple[Any, ...]] = Counter()  # of failures of listing, as many as earlier runs recorded
        for value in values:  # never a list: one URI may have been listed a million times
            if value is _DONE:
                done = True
            elif isinstance(value, Failure):
                failed.append(value)
            elif not isinstance(value, tuple):
                carried = carried if listed else value
                listed += 1
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
        if done:
            self._skipped += 1
        else:
            count(TO_CAPTION)
            yield uri, carried, earlier

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
    """A file of an earlier run to what is known of its URIs."""

    def process(self, file: tuple[str, tuple[str, str, bool]]) -> Iterator[Any]:
        path, (kind, run, alike) = file
        records = RecordFile(path, _is_caption if kind == CAPTIONS else _is_failure)
        if kind == CAPTIONS:
            yield from ((record["uri"], _DONE) for record in records)
        else:
            for record in records:
                if not record.get("known") and (alike or record["stage"] != "infer"):
                    digest, message = (
                        value if is_text(value) else None for value in (record.get("sha256"), record.get("message"))
                    )
                    key = _key(record["uri"], record["stage"], message or "")
                    yield key, (run, record["stage"], record["error"], digest)
        if records.problem:
            yield _passed_over(f"{path!r}: {records.problem}", records.passed_over)


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
