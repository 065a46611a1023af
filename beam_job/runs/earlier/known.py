"""What earlier runs have captioned, and what failed in them.

The captions of a run count if it was started with the same model and the same decoding options. Of a finished run the
files that its manifest names are read; of a killed run, every complete file.

Failures count for every model, except failures of the model itself. Only finished runs count, because only they have
reported their failures. A record that a run marked as known repeats an older one and is not read, so the amount to read
grows with the number of images that ever failed, not with the number of runs.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from beam_job.runs.folder import CAPTIONS, FAILURES, UnreadableError, is_text, open_run_folder, run_folders
from beam_job.runs.passed_over import PASSED_OVER, passed_over
from beam_job.runs.record_file import RecordFile, is_caption, is_failure
from beam_job.runs.run import Run

LIST = "list"
"""The stage of failures that listing made."""

DONE = True
"""Stands for what is known of a caption where versions are not compared."""

CAPTIONED = 2
"""Stands before what is known of a caption, where they are; ``LISTED`` is 1."""

_KEY_LENGTH = 200  # characters of a message that tell one fault from another


class Earlier(NamedTuple):
    """The results of earlier runs.

    Attributes:
      known: (URI, ``True``) for each captioned URI, or (URI, (2, run, version, sha256, path, offset, length)) if
        versions are compared, followed by the old URI if it was captioned under that one; (URI, (run, stage, error,
        sha256)) for each failure. Bad rows of lists have another key instead of the URI.
      passed_over: numbers of runs, files and lines that could not be read.
    """

    known: beam.PCollection[tuple[str, Any]]
    passed_over: beam.PCollection[int]


class ReadEarlier(beam.PTransform):
    """Reads the URIs that earlier runs of ``run.output`` captioned in the same way, and those that failed.

    Args:
      run: the current run.
      recaption: do not read captioned URIs.
      versions: also read the versions of the captioned images.
      renamed: (old, new) prefixes of URIs: what is known under the old one is also known under the new one.
    """

    def __init__(self, run: Run, *, recaption: bool, versions: bool, renamed: tuple[str, str] | None = None) -> None:
        super().__init__()
        self._renamed = renamed
        self._run = run
        self._recaption = recaption
        self._versions = versions

    def expand(self, pbegin: beam.pvalue.PBegin) -> Any:  # Earlier, which Beam's type hints don't know
        def steps(label: str, found: beam.PCollection, reader: beam.DoFn) -> Any:
            return found | label >> beam.ParDo(reader).with_outputs(PASSED_OVER, main="found").with_output_types(
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
        return Earlier(read.found, (files[PASSED_OVER], read[PASSED_OVER]) | "PassedOver" >> beam.Flatten())


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
            yield passed_over(f"{directory!r}: {error}")
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
            yield passed_over(f"{directory!r}: {problem}")


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
            records = RecordFile(path, _is_caption)  # whole lines: what counts as captioned can be read by all
            for record in records:
                if not self._versions and not self._old:
                    yield record["uri"], DONE
                    continue
                version, sha256 = (
                    value if is_text(value) else None for value in (record.get("version"), record.get("sha256"))
                )
                known = (CAPTIONED, run, version, sha256, path, *records.place)
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
                    key = key_of(record["uri"], record["stage"], message or "")
                    failure = (run, record["stage"], record["error"], digest)
                    yield key, failure
                    if (moved := self._moved(key)) is not None:
                        yield moved, failure
        if records.problem:
            yield passed_over(f"{path!r}: {records.problem}", records.passed_over)


def key_of(uri: str, stage: str, message: str) -> str:
    """What tells a failure from others: the URI. A bad row moves as its list grows, but its list and its fault stay."""
    path, mark, place = uri.rpartition("#")
    if stage == LIST and mark and place.isdecimal():
        return f"{path}#{message.partition(': ')[2][:_KEY_LENGTH]}"
    return uri


def _is_caption(record: Mapping[str, Any]) -> bool:
    return is_caption(record) and is_text(record["uri"])  # else it could not be shuffled, and no list names it


def _is_failure(record: Mapping[str, Any]) -> bool:
    return is_failure(record) and all(is_text(record[name]) for name in ("uri", "stage", "error"))


def earlier_runs(output: str, this_run: str) -> list[str]:
    """The folders of the runs in ``output``, except the current one."""
    return [folder for folder in run_folders(output) if FileSystems.split(folder)[1] != f"run={this_run}"]
