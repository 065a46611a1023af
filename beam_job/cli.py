"""The command line of the job: checks its input, runs the pipeline, prints the summary."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, GoogleCloudOptions, SetupOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from beam_job import devices, outcome
from beam_job.cloud import dataflow
from beam_job.cloud.runner import check_runner, is_dataflow, is_local, keep_direct
from beam_job.command_line import help_text, parse
from beam_job.files.document import LINK, is_text
from beam_job.images.local_path import local_path
from beam_job.listing.check_globs import check_images
from beam_job.listing.lists import check_list, copy_pipes, is_pipe
from beam_job.listing.uris import ReadUris
from beam_job.messages.invocation import program
from beam_job.messages.quoting import shown
from beam_job.model.directory import DEFAULT_MODEL, OpenModel, delete_copies, open_model
from beam_job.options import CaptionOptions
from beam_job.pipeline import CaptionImages, build
from beam_job.runs.earlier.known import ReadEarlier
from beam_job.runs.earlier.recheck import Recheck
from beam_job.runs.folder import linked_runs
from beam_job.runs.manifest import own_manifest
from beam_job.runs.run import MaxFailures, Run, TooManyFailuresError
from beam_job.runs.shards import ShardLimits, write_open_shards
from beam_job.terminal import signals, worker
from beam_job.terminal.arguments import OptionError, is_verbose
from beam_job.terminal.console import console
from beam_job.terminal.progress import progress
from beam_job.terminal.streams import escaped, say, show

EXIT_FAILED = 1
EXIT_REFUSED = 2
EXIT_TOO_MANY_FAILURES = 3

_STOPPED_ELSEWHERE = "stopped waiting: a job on other machines or in other processes may continue there."


def main(argv: Sequence[str] | None = None, *, launcher: bool = False) -> int:
    """Runs the job and returns its exit status. ``launcher`` is as for ``command_line.parse``.

    0: success. 1: the run failed. 2: refused before any work. 3: finished with more failures than ``--max_failures``
    allows. On Dataflow 0 means that the job was submitted. A process that ``signals`` stops does not return: it exits
    with 130 after Ctrl-C, and with 143 after SIGTERM.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    if {"-h", "--help"} & set(argv):
        show(help_text())
        return 0
    signals.on_stop(write_open_shards)
    signals.on_stop(delete_copies)
    with console(verbose=is_verbose(argv)) as width, ExitStack() as at_end:
        signals.on_stop(at_end.close)
        return _caption(argv, launcher, width, at_end)


def _caption(argv: list[str], launcher: bool, width: Callable[[], int] | None, at_end: ExitStack) -> int:
    try:
        options = parse(argv, launcher=launcher)
        check_options(options)
        complete_options(options)
        if options.check:
            return _say("the options are valid. No file, list, model or cloud service was accessed.", 0)
        inputs = check_inputs(options, at_end)
        job = make_job(options, inputs)
        job.run.start()
    except (ValueError, devices.NoGpuError) as error:
        return _say(error, EXIT_REFUSED)
    failure: Exception | None = None
    try:
        pipeline = beam.Pipeline(_runner(options), _for_beam(options))
        manifests = build(pipeline, *job)
        if is_dataflow(options):
            manifests | "CheckFailures" >> beam.Map(job.run.check_failures)  # on the workers: the command does not wait
            return _submitted(options, pipeline.run(), job.run)
        if not is_local(options):
            signals.say_on_stop(_STOPPED_ELSEWHERE)
        with progress(job.run.directory, width=width):
            pipeline.run().wait_until_finish()
    except Exception as error:  # the runner raises what it likes
        logging.info("The pipeline failed", exc_info=True)  # with --verbose
        failure = error
    signals.wait_if_stopping()
    manifest = own_manifest(job.run.directory)
    if manifest is not None:
        if options.print_captions:
            outcome.show_captions(job.run, manifest)
        outcome.say_counts(job.run, manifest)
        if options.report:
            outcome.report(job.run, options.allow_https)
    if failure is not None or manifest is None:
        why = "it wrote no manifest" if failure is None else outcome.reason(failure)
        return _say(f"the run {job.run.directory} failed: {why}", EXIT_FAILED)
    try:
        job.run.check_failures(manifest)
    except TooManyFailuresError as error:
        return _say(error, EXIT_TOO_MANY_FAILURES)
    return 0


class Inputs(NamedTuple):
    """What a job reads: the checked model, and the paths of the copies of lists that are pipes."""

    model: OpenModel
    copies: Mapping[str, str]


class Job(NamedTuple):
    """A run and its transforms."""

    run: Run
    read_uris: ReadUris
    read_earlier: ReadEarlier
    caption_images: CaptionImages
    limits: ShardLimits
    recheck: Recheck | None


def check_options(options: CaptionOptions) -> None:
    """Checks the options alone: no file is read, and no cloud service is accessed. Raises ``ValueError``."""
    check_runner(options)
    for convert in (
        options.to_decoding,
        options.to_fields,
        options.to_loading,
        options.to_shard_limits,
        options.to_leave_out,
        options.to_renamed,
    ):
        convert()
    options.check_positive("batch_size")
    if options.max_failures is not None:
        MaxFailures.parse(options.max_failures)
    if not options.output:
        raise OptionError("--output is missing: name the folder for the captions.")
    try:
        if not is_text(local_path(options.output)):
            raise ValueError("its name is not valid UTF-8; choose another.")
    except ValueError as error:
        raise OptionError(f"--output {options.output}: {error}") from error
    if not options.images and not options.uris:
        raise OptionError("There is nothing to caption: give --images GLOB or --uris LIST.")
    if is_dataflow(options):
        if options.report or options.print_captions:
            raise OptionError(
                "--report and --print_captions: the command does not wait for a Dataflow job; when the job has "
                f"finished, write its report with `{program('beam_job.report')} DIR`."
            )
    elif options.accelerator or options.share_gpu or options.flex_start:
        raise OptionError(
            "--accelerator, --share_gpu and --flex_start are for Dataflow; elsewhere the machine's GPUs are used."
        )


def complete_options(options: CaptionOptions) -> None:
    """Completes checked options: a local output path, and on Dataflow its options."""
    options.output = local_path(options.output)
    if is_dataflow(options):
        dataflow.prepare(options)


def check_inputs(options: CaptionOptions, at_end: ExitStack) -> Inputs:
    """Checks the files, lists, model and devices that the options name.

    Lists that are pipes can be read only once: they are copied to files, which are deleted when ``at_end`` is closed.

    Raises:
      ValueError, NoGpuError: something cannot be used; the message is one sentence.
    """
    for path in linked_runs(options.output):
        raise OptionError(
            f"{shown(path)} {LINK}: the photos of that run would be captioned again. Move the run's folder itself "
            "there, or mount it there (mount --bind)."
        )
    if options.require_gpu and is_local(options):
        devices.require_gpu()
    model = open_model(options.model or DEFAULT_MODEL)
    copies = _copies(options, at_end)
    for glob in options.uris:
        check_list(glob, options.to_fields(), copies, options.include_hidden)
    for note in check_images(options.images, options.to_leave_out()):
        print(f"beam_job: {note}", file=sys.stderr)
    return Inputs(model, copies)


def make_job(options: CaptionOptions, inputs: Inputs) -> Job:
    """The run and its transforms, from options and inputs that were checked."""
    decoding, fields, loading = options.to_decoding(), options.to_fields(), options.to_loading()
    versions = bool(options.images or fields.version or options.recheck)
    run = Run(options.output, inputs.model.fingerprint, {**_asked(options), "decoding": asdict(decoding)})
    return Job(
        run,
        ReadUris(options.images, options.uris, fields, inputs.copies, options.to_leave_out()),
        ReadEarlier(run, recaption=options.recaption, versions=versions, renamed=options.to_renamed()),
        CaptionImages(
            options.model,
            decoding,
            options.batch_size,
            loading,
            require_gpu=bool(options.require_gpu),
            full_precision=options.full_precision,
        ),
        options.to_shard_limits(),
        Recheck(loading.fetch, loading.threads) if options.recheck else None,
    )


def _copies(options: CaptionOptions, at_end: ExitStack) -> dict[str, str]:
    """Paths of the copies of those lists that are pipes; raises ``OptionError`` where workers could not read them."""
    if is_local(options):
        return copy_pipes(options.uris, at_end)
    for name in filter(is_pipe, options.uris):
        raise OptionError(f"--uris {name}: only a run on this machine can read a pipe; write the list to a file.")
    return {}


def _asked(options: CaptionOptions) -> dict[str, Any]:
    names = (
        "images exclude include_hidden uris uri_field version_field carry model batch_size fetch_threads recaption "
        "recheck rename_from rename_to max_failures max_bytes max_pixels fetch_deadline decode_deadline "
        "decode_memory accept_truncated allow_https shard_records shard_seconds accelerator flex_start require_gpu "
        "full_precision"
    )
    return {name: getattr(options, name) for name in names.split()}


def _for_beam(options: CaptionOptions) -> CaptionOptions:
    """Everything the workers need is in importable packages, so nothing of the main session is pickled."""
    options.view_as(SetupOptions).save_main_session = False
    keep_direct(options)
    return options


def _runner(options: CaptionOptions) -> FnApiRunner | None:
    """DirectRunner with worker processes that can be stopped; ``None`` leaves the choice to Beam."""
    direct = options.view_as(DirectOptions)
    if not is_local(options) or direct.direct_running_mode != "multi_processing":
        return None
    direct.direct_running_mode = "in_memory"  # the runner would start Beam's own workers instead of those it is given
    return FnApiRunner(SubprocessSDKEnvironment.from_command_string(worker.COMMAND))


def _submitted(options: CaptionOptions, result: Any, run: Run) -> int:
    """Prints the submitted job, or the one that a Flex Template's launcher writes; neither is waited for."""
    cloud = options.view_as(GoogleCloudOptions)
    if cloud.template_location:
        say(f"The job was written to {cloud.template_location}; its run is {run.directory}.")
        return 0
    job = result.job_id()
    url = f"https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{job}?project={cloud.project}"
    show(job)
    say(f"Submitted as {job}, {url}. Its captions go to {run.directory}.")
    return 0


def _say(message: object, code: int) -> int:
    say(f"beam_job: {escaped(str(message))}")
    return code
