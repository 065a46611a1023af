"""The summary of a run: its captions, one line of counts, and the reason if it failed."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_job.messages import unforeseen
from beam_job.messages.quantity import quantity
from beam_job.runs.run import Run
from beam_job.terminal.streams import escaped, say, show

_LONGEST_REASON = 1000  # characters


def show_captions(run: Run, manifest: Mapping[str, Any]) -> None:
    """Prints score, image and caption, highest score first."""
    records = []
    for shard in manifest["captions"]:
        with FileSystems.open(FileSystems.join(run.directory, shard["name"])) as file:
            records += [json.loads(line) for line in file.read().splitlines()]
    for record in sorted(records, key=lambda record: (-record["score"], record["uri"])):
        uri = record["uri"]
        shown = os.path.relpath(uri) if uri.startswith(os.path.join(os.getcwd(), "")) else uri
        show(f"{record['score']:.2f}\t{escaped(shown)}\t{escaped(record['caption'])}")


def say_counts(run: Run, manifest: Mapping[str, Any]) -> None:
    """Prints the number of images by outcome."""
    counts = manifest["counts"]
    known = f" ({manifest['known_failures']:,} known)" if manifest["known_failures"] else ""
    captioned, failed, skipped = (f"{counts[name]:,} {name}" for name in ("captioned", "failed", "skipped"))
    changed, touched = (f" ({manifest[name]:,} {name})" if manifest[name] else "" for name in ("changed", "touched"))
    found = f"{captioned}{changed}, {failed}{known}, {skipped}{touched}, {quantity(counts['duplicates'], 'duplicate')}"
    if manifest["left_out"]:
        found += f", {manifest['left_out']:,} left out"
    say(f"{quantity(counts['input'], 'image')}: {found} in {manifest['seconds']} s. See {escaped(run.directory)}.")
    if manifest["unversioned"]:
        say(
            f"  Not compared: {manifest['unversioned']:,} of the skipped, whose earlier records name no version; "
            "--recaption gives them one."
        )
    for code, count in manifest["failures_by_code"].items():
        fault = (
            ", a bug in this program: please report the logged traceback"
            if code.endswith(f"/{unforeseen.CODE}")
            else ""
        )
        say(f"  {count:,} failed: {escaped(code)}{fault}")
    if manifest["passed_over"]:
        say(f"  Passed over: {manifest['passed_over']:,} lines and files of earlier runs; see the warnings.")


def report(run: Run, allow_https: bool) -> None:
    """Writes the report of the run, and prints its path."""
    try:
        from beam_job.report import write_report  # few runs need it

        say(f"The report is {escaped(write_report(run.directory, allow_https=allow_https))}")
    except Exception as error:  # the captions are written, and the report can be written later
        say(f"beam_job: {escaped(str(error))}")


def reason(failure: BaseException) -> str:
    """Why a run failed, in one line.

    Errors of this package are sentences; others are unclear without their class. A worker process passes an exception
    on as its traceback, whose last line has both.
    """
    lines = str(failure).strip().splitlines()
    last = lines[-1].partition(" [while running ")[0] if lines else ""
    if len(lines) > 1:
        return re.sub(r"^beam_job\.[\w.]+: ", "", last)[:_LONGEST_REASON]
    if type(failure).__module__.startswith("beam_job.") or (isinstance(failure, (OSError, ValueError)) and last):
        return last[:_LONGEST_REASON]
    return f"{type(failure).__name__}: {last}".removesuffix(": ")[:_LONGEST_REASON]
