"""The current caption of each image, if the runs of a folder wrote several.

    captions = pipeline | ReadCaptions("captions")      # a dictionary for each image

Only runs with one model and one set of decoding options count, by default those of the newest finished run. If several
of these captioned an image, the caption of the newest run is current. Of a killed run the files that it completed
count, because their images are not captioned again. Reviews are applied last: ``beam_job.runs.reviews``.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import apache_beam as beam

from beam_job.files.document import UnreadableError, is_text
from beam_job.files.switch import steady
from beam_job.images.local_path import local_path
from beam_job.messages.quoting import quoted
from beam_job.runs.folder import CAPTIONS, RunFolder, open_run_folder, run_folders
from beam_job.runs.record_file import RecordFile, is_caption
from beam_job.runs.reviews import read_reviews


class NoRunsError(ValueError):
    """A folder without the requested run; the message names it."""


class ReadCaptions(beam.PTransform):
    """Reads the current caption of each image in a folder of runs: a ``PCollection`` of dictionaries, one for each URI.

    Each dictionary is the record as it was written, with the id of its run in ``run``. If a person corrected the
    caption, ``caption`` is that sentence and ``source`` is ``review``, otherwise ``model``; ``verdict`` is the person's
    verdict, if there is one. Captions that were marked as wrong are left out. Lines that are not records are ignored
    with a warning.

    Args:
      output: the folder, as it was given to the job as ``--output``; on any file system that Beam reads.
      model: fingerprint of a model: read its captions, with the decoding options of its newest finished run.
      run: id of a run: read the captions with its model and decoding options.
      keep_wrong: also return captions that were marked as wrong; their ``verdict`` is ``wrong``.

    Raises:
      NoRunsError: when the pipeline runs, there is no such run.
      UnreadReviewsError: then the folder's reviews cannot be read.
    """

    def __init__(self, output: str, model: str | None = None, run: str | None = None, keep_wrong: bool = False) -> None:
        super().__init__()
        self._output = output
        self._model = model
        self._run = run
        self._keep_wrong = keep_wrong

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection:
        files = (
            pbegin
            | "Output" >> beam.Create([self._output])
            | "CaptionFiles" >> beam.FlatMap(_numbered_files, self._model, self._run)
            | "ReshuffleFiles" >> beam.Reshuffle()
        )
        # What is shuffled are digests of URIs. The records, which may be a hundred times as large, are read again.
        repeated = (
            files
            | "Places" >> beam.FlatMap(_places).with_output_types(tuple[bytes, tuple[int, int]])
            | "ByUri" >> beam.GroupByKey()
            | "Repeated" >> beam.FlatMap(_first_of_several)
        )
        return (
            files
            | "Records" >> beam.FlatMap(_records, current=beam.pvalue.AsDict(repeated))
            | "Reviews" >> beam.ParDo(_ApplyReviews(self._output, self._keep_wrong))
        )


class _ApplyReviews(beam.DoFn):
    """Records to what stands by the reviews of the folder, which each worker reads."""

    def __init__(self, output: str, keep_wrong: bool) -> None:
        self._output = output
        self._keep_wrong = keep_wrong

    def setup(self) -> None:
        self._reviews = read_reviews(self._output)
        for problem in self._reviews.problems:
            logging.warning("Passed over: %s", problem)

    def process(self, record: dict[str, Any]) -> Iterator[dict[str, Any]]:
        standing = self._reviews.apply(record, self._keep_wrong)
        if standing is not None:
            yield standing


class CaptionFile(NamedTuple):
    """A file whose captions count, and the run that wrote it."""

    run: str
    path: str


def caption_files(output: str, model: str | None = None, run: str | None = None) -> list[CaptionFile]:
    """The files whose captions count, newest run first: of two records of one URI, the first is current.

    Raises:
      NoRunsError: there is no such run.
    """
    return [
        CaptionFile(found.id, path)
        for found in current_runs(output, model, run)
        for path in sorted(found.files(CAPTIONS))
    ]


def records_of(runs: Iterable[RunFolder]) -> Iterator[dict[str, Any]]:
    """The records of the runs, file after file, read as they are asked for."""
    for run in runs:
        for path in sorted(run.files(CAPTIONS)):
            yield from _read(CaptionFile(run.id, path))


def current_runs(output: str, model: str | None = None, run: str | None = None) -> list[RunFolder]:
    """The runs of ``output`` with the requested model and decoding options, newest first.

    Raises:
      NoRunsError: there is no such run.
    """
    folder = local_path(output)
    runs = steady(folder, lambda: _opened(folder))
    wanted = [found for found in runs if run in (None, found.id) and model in (None, found.about["model"])]
    if not wanted:
        asked = (
            f" with the id {quoted(run)}"
            if run is not None
            else f" of model {quoted(model)}"
            if model is not None
            else ""
        )
        raise NoRunsError(f"{output}: there is no run{asked} here; name the folder that was given as --output.")
    leading = next((found for found in wanted if found.finished), wanted[0])
    return [found for found in runs if found.settings == leading.settings]


def _opened(output: str) -> list[RunFolder]:
    """All runs, the newest first."""
    found = []
    for directory in reversed(run_folders(output)):
        try:
            found.append(open_run_folder(directory))
        except UnreadableError as error:
            logging.warning("Passed over: %r: %s", directory, error)
    return found


def _numbered_files(output: str, model: str | None, run: str | None) -> Iterator[tuple[int, CaptionFile]]:
    return enumerate(caption_files(output, model, run))


def _places(numbered: tuple[int, CaptionFile]) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Each URI, by its digest, and where its record is: the file's number, the line."""
    number, file = numbered
    records = _read(file)
    for record in records:
        yield _digest(record["uri"]), (number, records.lines)


def _first_of_several(grouped: tuple[bytes, Iterable[tuple[int, int]]]) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """The current record's place, where there are several: files come newest first."""
    uri, places = grouped
    found = sorted(places)
    if len(found) > 1:
        yield uri, found[0]


def _records(numbered: tuple[int, CaptionFile], current: Mapping[bytes, tuple[int, int]]) -> Iterator[dict[str, Any]]:
    number, file = numbered
    records = _read(file)
    for record in records:
        place = (number, records.lines)
        if current.get(_digest(record["uri"]), place) == place:
            yield {**record, "run": file.run}
    if records.problem:
        logging.warning("Passed over: %r: %s", file.path, records.problem)


def _read(file: CaptionFile) -> RecordFile:
    return RecordFile(file.path, lambda record: is_caption(record) and is_text(record["uri"]))


def _digest(uri: str) -> bytes:
    return blake2b(uri.encode(), digest_size=16).digest()
