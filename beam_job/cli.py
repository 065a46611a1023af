"""The command line of the job: checks everything, runs the pipeline, says how it went."""

import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import SetupOptions, StandardOptions, TypeOptions

from beam_job.model_directory import DEFAULT_MODEL, open_model
from beam_job.options import CaptionOptions, OptionError, help_text, parse
from beam_job.pipeline import CaptionImages, build
from beam_job.run import MANIFEST, Run
from beam_job.uris import check_images, check_list

EXIT_FAILED = 1
EXIT_REFUSED = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job; returns 0 when it ended well, 1 when it failed, 2 when it was refused before any work."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if {"-h", "--help"} & set(argv):
        print(help_text())
        return 0
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        options = parse(argv)
        caption_images, run = check(options)
        run.start()
    except ValueError as error:
        return _say(error, EXIT_REFUSED)
    try:
        pipeline = beam.Pipeline(options=_for_beam(options))
        build(pipeline, run, options.images, options.uris, caption_images)
        pipeline.run().wait_until_finish()
        with FileSystems.open(FileSystems.join(run.directory, MANIFEST)) as file:
            manifest = json.load(file)
    except Exception as error:  # the runner raises what it likes
        logging.debug("The pipeline failed", exc_info=True)
        return _say(f"the run {run.directory} failed: {error}", EXIT_FAILED)
    if options.print_captions:
        _print_captions(run, manifest)
    print(_summary(run, manifest), file=sys.stderr)
    return 0


def check(options: CaptionOptions) -> tuple[CaptionImages, Run]:
    """Checks every option before any work starts; raises ``ValueError`` with one sentence."""
    decoding = options.to_decoding()
    for name in ("batch_size", "fetch_threads"):
        if getattr(options, name) < 1:
            raise OptionError(f"--{name} {getattr(options, name)}: choose 1 or more.")
    if not options.output:
        raise OptionError("--output is missing: name the folder for the captions.")
    if not options.images and not options.uris:
        raise OptionError("There is nothing to caption: give --images GLOB or --uris LIST.")
    model = open_model(options.model or DEFAULT_MODEL)
    for glob in options.images:
        check_images(glob)
    for path in options.uris:
        check_list(path)
    asked = {
        "images": options.images,
        "uris": options.uris,
        "model": options.model,
        "batch_size": options.batch_size,
        "fetch_threads": options.fetch_threads,
        "decoding": asdict(decoding),
    }
    run = Run(options.output, model.fingerprint, asked)
    return CaptionImages(options.model, decoding, options.batch_size, options.fetch_threads), run


def _for_beam(options: CaptionOptions) -> CaptionOptions:
    """Everything the workers need is in importable packages, so nothing of the main session is pickled."""
    options.view_as(SetupOptions).save_main_session = False
    if options.view_as(StandardOptions).runner in (None, "DirectRunner"):
        # Keeps DirectRunner in this process. Otherwise it would first look for Prism, which is downloaded, and would
        # run a job that failed there a second time.
        options.view_as(TypeOptions).allow_unsafe_triggers = True
    return options


def _print_captions(run: Run, manifest: dict[str, Any]) -> None:
    records = []
    for shard in manifest["captions"]:
        with FileSystems.open(FileSystems.join(run.directory, shard["name"])) as file:
            records += [json.loads(line) for line in file.read().splitlines()]
    for record in sorted(records, key=lambda record: record["uri"]):
        print(f"{record['uri']}\t{record['caption']}")


def _summary(run: Run, manifest: dict[str, Any]) -> str:
    counts = manifest["counts"]
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if name != "input")
    lines = [f"{counts['input']} images: {found} in {manifest['seconds']} s. See {run.directory}."]
    lines += [f"  {count} failed: {code}" for code, count in manifest["failures_by_code"].items()]
    return "\n".join(lines)


def _say(message: object, code: int) -> int:
    print(f"beam_job: {message}", file=sys.stderr)
    return code
