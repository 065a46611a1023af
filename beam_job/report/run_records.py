"""The run that a report is about, and its records one at a time."""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from beam_job.images.local_path import local_path
from beam_job.messages.quantity import quantity
from beam_job.messages.quoting import quoted
from beam_job.records import FIELDS
from beam_job.runs.folder import (
    CAPTIONS,
    FAILURES,
    RecordFile,
    RunFolder,
    UnreadableError,
    is_caption,
    is_failure,
    is_number,
    is_shallow,
    open_run_folder,
    run_folders,
)


class ReportError(ValueError):
    """A run that cannot be reported on; the message says why and what to do."""


def is_idle(run: RunFolder) -> bool:
    """Whether there was nothing to do: earlier runs had captioned all. A failure, even one tried again, counts."""
    counts = run.about.get("counts", {})
    return run.finished and counts.get("captioned") == counts.get("failed") == 0 < counts.get("skipped", 0)


def read(run: RunFolder, kind: str) -> Iterator[dict[str, Any]]:
    """Yields the records of ``kind``, ``CAPTIONS`` or ``FAILURES``, a line at a time.

    What the files hold that the job does not write goes to the run's problems.
    """
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
            run.problems.append(f"{name} was changed after the run: its digest is not the manifest's.")


def open_run(path: str) -> RunFolder:
    """Finds a run: ``path`` is its own folder, or the folder that collects runs.

    Of several the latest is taken, but for those that found nothing new: the same command again, when all was done.

    Raises:
      ReportError: there is no run at ``path``.
    """
    problem = ""
    try:
        path = local_path(path)
    except ValueError as error:
        raise ReportError(f"{path}: {error}") from error
    try:
        return open_run_folder(path)
    except UnreadableError as error:
        problem = f"{error}"
    except Exception as error:  # file systems raise what they like
        raise ReportError(f"{path}: cannot be read ({error}).") from error
    latest = None
    for run in _runs(path):
        if not is_idle(run):
            return run
        latest = latest or run
    if latest is not None:
        return latest
    raise ReportError(
        f"{path}: there is no run here ({problem}); name the folder that was given as --output, or one run=<id> in it."
    )


def _runs(path: str) -> Iterator[RunFolder]:
    """The runs in a folder, the latest first; those that are none are passed over."""
    try:
        directories = run_folders(path)
    except Exception as error:  # file systems raise what they like
        raise ReportError(f"{path}: cannot be listed ({error}).") from error
    for directory in reversed(directories):
        try:
            yield open_run_folder(directory)
        except UnreadableError as error:
            logging.warning("Passed over: %r: %s", directory, error)


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
