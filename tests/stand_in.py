"""Stands in for the commands of the documents that cost too much to run, and checks what can be checked of them.

    python stand_in.py NAME [argument ...]

`python` runs for real, with a tiny model where none is named; but what reaches for a cloud, or trains, only has its
options parsed, and so has every caption run where DOCS_DRY is set. `make` says what it would do. What only exists
elsewhere (gcloud, bq, docker) does nothing.
"""

import os
import subprocess
import sys

from tests.warm_python import run


def main(name: str, arguments: list[str]) -> int:
    if name == "make":
        return subprocess.call(["/usr/bin/make", "--dry-run", "--directory", os.environ["DOCS_ROOT"], *arguments])
    if name.startswith(("python", "caption-")) or name == "train-captioner":
        return _python(name, arguments)
    return 0


def _python(name: str, arguments: list[str]) -> int:
    module = {"caption-images": "beam_job", "caption-report": "beam_job.report", "caption-inspect": "beam_job.inspect"}
    module |= {"caption-export": "beam_job.export", "caption-review": "beam_job.review"}
    if name in module:
        arguments = ["-m", module[name], *arguments]
    if name == "train-captioner":
        arguments = ["-m", "train", *arguments]
    cloud = any("gs://" in argument or "Dataflow" in argument for argument in arguments)
    cloud = cloud or bool(os.environ.get("DOCS_DRY"))
    if arguments[:2] == ["-m", "beam_job"] and cloud:
        from beam_job.command_line import parse

        parse(arguments[2:]).to_decoding()
        return 0
    if arguments[:2] == ["-m", "beam_job.export"] and any("gs://" in argument for argument in arguments):
        from beam_job.export.options import parse as parse_export

        parse_export(arguments[2:])
        return 0
    if arguments[:2] == ["-m", "train"]:
        from train.cli import _parser

        _parser().parse_args(arguments[2:])
        return 0
    if arguments[:2] in (["-m", "venv"], ["-m", "build"]):
        return 0
    if arguments[:2] == ["-m", "beam_job"]:
        arguments += [] if "--model" in arguments else ["--model", os.environ["DOCS_MODEL"]]
        arguments += [] if "--runner" in arguments else ["--runner=DirectRunner"]
    if arguments[:2] == ["-m", "beam_job.inspect"] and len(arguments) == 2:
        arguments += [os.environ["DOCS_MODEL"]]
    run(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
