"""A folder of runs for review and export: its current captions, their model and decoding, and their reviews."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beam_job.files.document import is_number, is_shallow, is_text
from beam_job.files.switch import steady
from beam_job.images.local_path import local_path
from beam_job.messages.quoting import shown
from beam_job.model.decoding import decoding_digest
from beam_job.runs.current import NoRunsError, current_runs
from beam_job.runs.folder import CAPTIONS, RunFolder
from beam_job.runs.output_folder import OutputFolder
from beam_job.runs.record_file import RecordFile, is_caption
from beam_job.runs.reviews import Reviews, UnreadReviewsError, read_reviews


class ArchiveError(ValueError):
    """A folder that cannot be read as a folder of runs; the message says why and what to do."""


@dataclass(frozen=True)
class Archive:
    """The captions of one model with one set of decoding options, and all reviews.

    Attributes:
      output: the folder, as it was given to the job as ``--output``.
      model: the model's fingerprint.
      decoding: ``decoding_digest`` of the decoding options.
      runs: the runs with these captions, newest first.
      reviews: reviews of these and of other models' captions.
    """

    output: str
    model: str
    decoding: str
    runs: Sequence[RunFolder]
    reviews: Reviews

    def captions(self) -> Iterator[dict[str, Any]]:
        """The model's current caption of each image, one record at a time, regardless of reviews."""
        return OutputFolder(self.output, list(self.runs)).read(CAPTIONS, _records)


def open_archive(output: str) -> Archive:
    """Reads the description of the newest finished run in ``output``, and all reviews.

    Raises:
      ArchiveError: there is no run in ``output``, or it or its reviews cannot be read.
    """
    try:
        output = local_path(output)
        runs, reviews = steady(output, lambda: (current_runs(output), read_reviews(output)))
    except (NoRunsError, UnreadReviewsError) as error:
        raise ArchiveError(str(error)) from error
    except Exception as error:  # file systems raise what they like
        raise ArchiveError(f"{shown(output)}: cannot be read ({shown(str(error), 300)}).") from error
    model, decoding = runs[0].settings
    return Archive(output, model, decoding_digest(decoding), runs, reviews)


def _records(run: RunFolder, kind: str) -> Iterator[dict[str, Any]]:
    for path in run.files(kind):
        records = RecordFile(path, _is_reviewable)
        yield from ({**record, "run": run.id} for record in records)
        if records.problem:
            logging.warning("Passed over: %r: %s", path, records.problem)


def _is_reviewable(record: Mapping[str, Any]) -> bool:
    return (
        is_caption(record)
        and is_text(record["uri"])
        and is_text(record["caption"])
        and is_number(record.get("score"))
        and is_shallow(record)
    )
