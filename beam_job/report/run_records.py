"""The records of a report, from a run or a folder of runs, one at a time."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from apache_beam.io.filesystems import FileSystems

from beam_job.files.document import UnreadableError, is_number, is_shallow
from beam_job.images.local_path import local_path
from beam_job.messages.quantity import quantity
from beam_job.messages.quoting import quoted
from beam_job.model.decoding import decoding_digest
from beam_job.records import FIELDS
from beam_job.runs.current import NoRunsError, current_runs
from beam_job.runs.folder import CAPTIONS, FAILURES, RunFolder, open_run_folder
from beam_job.runs.output_folder import OutputFolder
from beam_job.runs.record_file import RecordFile, is_caption, is_failure
from beam_job.runs.reviews import Reviews, UnreadReviewsError, read_reviews
from beam_job.trust.trust_file import Trust, read_trust

Source: TypeAlias = RunFolder | OutputFolder
"""What a report is about."""


class ReportError(ValueError):
    """A run that cannot be reported on; the message says why and what to do."""


def read(source: Source, kind: str) -> Iterator[dict[str, Any]]:
    """Yields the records of ``kind``, ``CAPTIONS`` or ``FAILURES``, a line at a time.

    Of a folder of runs the captions are to be read first. What the files hold that the job does not write goes to the
    problems of ``source``.
    """
    return source.read(kind, _read_run) if isinstance(source, OutputFolder) else _read_run(source, kind)


@dataclass
class Reviewed:
    """The source of a report, with its reviews applied.

    Attributes:
      source: the run, or the folder of runs.
      reviews: those of the folder.
      trust: the estimate from them; ``None`` if there is no trust file for this model and these decoding options.
      corrected, wrong: numbers of captions that people corrected, and of those left out because they were marked as
        wrong; counted whenever the captions are read.
    """

    source: Source
    reviews: Reviews
    trust: Trust | None
    corrected: int = 0
    wrong: int = 0

    def read(self, kind: str) -> Iterator[dict[str, Any]]:
        """As ``read``; captions as they stand."""
        if kind != CAPTIONS:
            yield from read(self.source, kind)
            return
        self.corrected = self.wrong = 0
        for record in read(self.source, kind):
            standing = self.reviews.apply(record)
            if standing is None:
                self.wrong += 1
            else:
                self.corrected += standing["source"] == "review"
                yield standing


def open_reviewed(path: str) -> Reviewed:
    """Like ``open_source``, with the reviews and the trust file of the folder."""
    source = open_source(path)
    if isinstance(source, OutputFolder):
        run, output = source.runs[0], source.directory
    else:
        run, output = source, FileSystems.split(source.directory)[0]
    try:
        reviews, trust = read_reviews(output), read_trust(output)
    except UnreadReviewsError as error:
        raise ReportError(str(error)) from error
    except Exception as error:  # file systems raise what they like
        raise ReportError(f"{output}: the reviews cannot be read ({error}).") from error
    model, decoding = run.settings
    if trust is not None and (trust.model, trust.decoding) != (model, decoding_digest(decoding)):
        trust = None
    source.problems.extend(reviews.problems)
    return Reviewed(source, reviews, trust)


def _read_run(run: RunFolder, kind: str) -> Iterator[dict[str, Any]]:
    for path, entry in run.files(kind).items():
        digest = hashlib.sha256()
        records = RecordFile(path, {CAPTIONS: _is_caption, FAILURES: _is_failure}[kind], digest.update)
        yield from records
        name = path.removeprefix(run.directory)[1:]
        if records.problem:
            run.problems.append(f"{name}: {records.problem}")
        elif "records" in entry and entry["records"] != records.lines:
            found, said = quantity(records.lines, "record"), quoted(entry["records"])
            run.problems.append(f"{name} has {found}; the manifest says {said}.")
        elif "sha256" in entry and entry["sha256"] != digest.hexdigest():
            run.problems.append(f"{name} was changed after the run: its digest differs from the manifest's.")


def open_source(path: str) -> Source:
    """Opens the source of a report: ``path`` is a run's own folder, or the folder that contains runs.

    Raises:
      ReportError: there is no run at ``path``.
    """
    try:
        # With a slash behind it Beam would take the run for the folder around it, which has the reviews.
        path = re.sub(r"(?<=[^:/])/+\Z", "", local_path(path))
    except ValueError as error:
        raise ReportError(f"{path}: {error}") from error
    try:
        return open_run_folder(path, linked=True)
    except UnreadableError as error:
        problem = f"{error}"
    except Exception as error:  # file systems raise what they like
        raise ReportError(f"{path}: cannot be read ({error}).") from error
    try:
        return OutputFolder(path, current_runs(path))
    except NoRunsError as error:
        raise ReportError(
            f"{path}: there is no run here ({problem}); name the folder that was given as --output, or one run=<id> in "
            "it."
        ) from error
    except Exception as error:  # file systems raise what they like
        raise ReportError(f"{path}: cannot be listed ({error}).") from error


def _is_caption(record: Mapping[str, Any]) -> bool:
    """Whether a record has what the page shows of it, each in the type that the job writes."""
    captions = record.get("captions", [])
    return (
        is_caption(record)
        and is_number(record.get("score"))
        and all(is_number(record.get(name, 1)) for name in ("width", "height"))
        and isinstance(captions, list)
        and all(isinstance(caption, dict) and _is_hypothesis(caption) for caption in captions)
        and _is_shown(record)
    )


def _is_hypothesis(caption: Mapping[str, Any]) -> bool:
    tokens, log_probs, attention = (caption.get(name) or [] for name in ("tokens", "log_probs", "attention"))
    return (
        isinstance(caption.get("text", ""), str)
        and all(is_number(caption.get(name, 0)) for name in ("score", "min_log_prob"))
        and isinstance(caption.get("ended", True), bool)
        and isinstance(tokens, list)
        and all(isinstance(token, str) for token in tokens)
        and isinstance(log_probs, list)
        and all(map(is_number, log_probs))
        and isinstance(attention, list)
        and all(isinstance(weights, list) and len(weights) == len(attention[0]) for weights in attention)
        and all(is_number(weight) for weights in attention for weight in weights)
    )


def _is_failure(record: Mapping[str, Any]) -> bool:
    return is_failure(record) and isinstance(record.get("message", ""), str)


def _is_shown(record: Mapping[str, Any]) -> bool:
    return all(is_shallow(value) for name, value in record.items() if name not in FIELDS)
