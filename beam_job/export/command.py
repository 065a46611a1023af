"""The command line of exports: checks everything, runs the pipeline, prints the summary."""

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions

from beam_job import outcome
from beam_job.cloud.runner import check_runner, is_dataflow, keep_direct
from beam_job.export.export import EXPORTS, XMP, Export
from beam_job.export.options import help_text, parse
from beam_job.export.pipeline import take_back_sidecars, write_sidecars, write_table
from beam_job.export.selection import Selection
from beam_job.export.tables.published import TablePlace
from beam_job.export.tables.write import WriteTable
from beam_job.export.xmp.write import LABELS, Sidecars
from beam_job.messages import unforeseen
from beam_job.messages.invocation import program
from beam_job.messages.quantity import quantity
from beam_job.messages.quoting import shown
from beam_job.model.decoding import decoding_digest
from beam_job.records import FIELDS
from beam_job.runs.current import ReadCaptions, current_runs, records_of
from beam_job.runs.folder import RunFolder
from beam_job.runs.manifest import own_manifest
from beam_job.runs.reviews import ADDED, read_reviews
from beam_job.runs.run import MaxFailures
from beam_job.terminal import signals
from beam_job.terminal.arguments import OptionError, is_verbose
from beam_job.terminal.console import console
from beam_job.terminal.streams import escaped, say, show
from beam_job.trust.trust_file import TRUST, Trust, read_trust

EXIT_FAILED = 1
EXIT_REFUSED = 2
EXIT_TOO_MANY_FAILURES = 3

_MOST_COLUMNS = 200
_LOOKED_AT = 100  # captions


def main(argv: Sequence[str] | None = None) -> int:
    """Runs an export and returns its exit status, like the job's. On Dataflow 0 means that the export was submitted."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if {"-h", "--help"} & set(argv):
        show(help_text())
        return 0
    with console(verbose=is_verbose(argv)):
        return _export(argv)


def _export(argv: list[str]) -> int:
    try:
        options, beams = parse(argv)
        put = _check(options)
        export = Export(options.directory, vars(options))
        _prepare(beams, options)
        export.start()
    except ValueError as error:
        return _say(error, EXIT_REFUSED)
    with export.running():
        return _run(options, beams, put, export)


def _run(
    options: argparse.Namespace,
    beams: PipelineOptions,
    put: Callable[[beam.Pipeline, Export], Any],
    export: Export,
) -> int:
    try:
        pipeline = beam.Pipeline(options=beams)
        put(pipeline, export)
        result = pipeline.run()
        if is_dataflow(beams):
            show(result.job_id())
            say(f"Submitted. Its manifest goes to {escaped(export.directory)}.")
            return 0
        result.wait_until_finish()
    except Exception as error:  # the runner raises what it likes
        logging.info("The pipeline failed", exc_info=True)  # with --verbose
        return _say(f"the export {export.directory} failed: {outcome.reason(error)}", EXIT_FAILED)
    signals.wait_if_stopping()
    manifest = own_manifest(export.directory)
    if manifest is None:
        return _say(f"the export {export.directory} failed: it wrote no manifest", EXIT_FAILED)
    return _report(options, export, manifest)


def _check(options: argparse.Namespace) -> Callable[[beam.Pipeline, Export], Any]:
    """Checks what the options name; returns what puts the export into a pipeline. Raises ``ValueError``."""
    runs = _runs(options)
    sidecars = Sidecars(options.sidecar, options.keywords, options.overwrite, options.dry_run)
    if options.undo:
        return lambda pipeline, export: take_back_sidecars(pipeline, export, sidecars)
    if options.keywords not in (None, LABELS, *_carried(runs)):
        names = ", ".join([LABELS, *_carried(runs)])
        raise OptionError(
            f"--keywords {shown(options.keywords)}: no such field was carried (--carry). There are: {names}."
        )
    if options.keywords == LABELS:
        _check_labels(runs)
    _check_reviews(options.directory)
    captions = ReadCaptions(options.directory, options.model, options.run, keep_wrong=True)
    selection = Selection(options.min_score, options.at_least, _trust(options, runs[0]))
    if options.to == XMP:
        return lambda pipeline, export: write_sidecars(pipeline, export, captions, selection, sidecars)
    place = TablePlace(options.output, FileSystems.join(options.directory, EXPORTS), options.overwrite)
    place.check()
    carried = _carried(runs)
    return lambda pipeline, export: write_table(
        pipeline, export, captions, selection, WriteTable(options.to, place, export.directory, carried)
    )


def _runs(options: argparse.Namespace) -> list[RunFolder]:
    try:
        return current_runs(options.directory, options.model, options.run)
    except ValueError:
        raise
    except Exception as error:  # file systems raise what they like
        raise OptionError(f"{options.directory}: cannot be listed ({error}).") from error


def _check_reviews(output: str) -> None:
    """Raises ``ValueError`` where the reviews cannot be read, as all workers read them."""
    try:
        read_reviews(output)
    except ValueError:
        raise
    except Exception as error:  # file systems raise what they like
        raise OptionError(f"{shown(output)}: the reviews cannot be read ({shown(str(error), 300)}).") from error


def _check_labels(runs: Sequence[RunFolder]) -> None:
    """Raises ``OptionError`` if the captions have no labels: those of one model all have some, or none has."""
    some = list(islice(records_of(runs), _LOOKED_AT))
    if some and not any("labels" in record for record in some):
        model, _ = runs[0].settings
        raise OptionError(
            f"--keywords {LABELS}: the captions have no labels, as model {shown(model[:12])} has no image classifier; "
            "drop this option."
        )


def _carried(runs: Sequence[RunFolder]) -> list[str]:
    """The fields that the runs have carried from their lists, in their order."""
    named = (run.about["options"].get("carry") for run in runs)
    names = dict.fromkeys(name for carry in named if isinstance(carry, str) for name in carry.split(","))
    own = {*FIELDS, *ADDED, "", "chance"}
    return [name for name in names if name not in own][:_MOST_COLUMNS]


def _trust(options: argparse.Namespace, run: RunFolder) -> Trust | None:
    """The chances of captions with the model and decoding of that run."""
    trust = read_trust(options.directory)
    model, decoding = run.settings
    if trust is not None and (trust.model, trust.decoding) == (model, decoding_digest(decoding)):
        return trust
    if options.at_least is not None:
        why = "is for another model or other decoding options" if trust else "does not exist"
        raise OptionError(
            f"--at_least: {TRUST} {why}; review some captions, and run `{program('beam_job.trust')} "
            f"{shown(options.directory)}`, or use --min_score instead."
        )
    return None


def _prepare(beams: PipelineOptions, options: argparse.Namespace) -> None:
    """Everything that workers need is in importable packages; DirectRunner stays in this process."""
    check_runner(beams)
    beams.view_as(SetupOptions).save_main_session = False
    keep_direct(beams)
    if not is_dataflow(beams):
        return
    from beam_job.cloud import dataflow  # with the job's options, which an export elsewhere does not need
    from beam_job.options import CaptionOptions

    for path in filter(None, (options.directory, options.output)):
        if not path.startswith("gs://"):
            raise OptionError(f"{path}: Dataflow's workers cannot read local files; use a gs:// path.")
    captioning = beams.view_as(CaptionOptions)
    captioning.output = options.directory
    dataflow.prepare(captioning)


def _report(options: argparse.Namespace, export: Export, manifest: dict[str, Any]) -> int:
    counts = manifest["counts"]
    if options.dry_run:
        for path, caption in manifest["examples"]:
            show("\t".join(shown(text, 300) for text in (path, caption) if text))
    for line in _summary(options, export, manifest):
        say(line)
    if options.max_failures is not None and counts["failed"] > MaxFailures.parse(options.max_failures).of(
        counts["read"]
    ):
        return _say(
            f"{counts['failed']} of {counts['read']} failed, more than --max_failures {options.max_failures} allows.",
            EXIT_TOO_MANY_FAILURES,
        )
    return EXIT_FAILED if manifest["passed_over"] else 0


def _summary(options: argparse.Namespace, export: Export, manifest: dict[str, Any]) -> Iterator[str]:
    counts = dict(manifest["counts"])
    read = quantity(counts.pop("read"), "sidecar" if options.undo else "caption")
    names = {"written": "reverted" if options.undo else "written", "left_out": "left out"}
    found = ", ".join(f"{number:,} {names.get(name, name)}" for name, number in counts.items())
    note = ""
    if options.dry_run:
        note = " Nothing was written: this is a dry run."
    elif not counts["written"] and (options.to == XMP or counts["unchanged"]):  # a table may have lost all its rows
        note = " Nothing changed."
    where = export.directory if options.to == XMP else options.output
    yield f"{read}: {found} in {manifest['seconds']} s.{note} See {escaped(where)}."
    for reason, number in manifest["left_out_by_reason"].items():
        yield f"  {number:,} left out: {escaped(reason)}"
    for code, number in manifest["failures_by_code"].items():
        fault = (
            ", a bug in this program: please report the logged traceback"
            if code.endswith(f"/{unforeseen.CODE}")
            else ""
        )
        yield f"  {number:,} failed: {escaped(code)}{fault}"
    if manifest["passed_over"]:
        yield (
            f"  Passed over: {manifest['passed_over']:,} lines and files of runs; see the warnings. Sidecars of their "
            "photos may not be reverted."
        )


def _say(message: object, code: int) -> int:
    say(f"beam_job.export: {escaped(str(message))}")
    return code
