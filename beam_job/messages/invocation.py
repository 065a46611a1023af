"""The command lines that start these programs, for help texts and hints that can be copied."""

import argparse
import shlex
import sys
from pathlib import Path

SCRIPTS = {
    "beam_job": "caption-images",
    "beam_job.report": "caption-report",
    "beam_job.review": "caption-review",
    "beam_job.trust": "caption-trust",
    "beam_job.prune": "caption-prune",
    "beam_job.export": "caption-export",
    "beam_job.inspect": "caption-inspect",
    "train": "train-captioner",
}


def program(module: str) -> str:
    """The command of a module's program: its script if this process was started by one, otherwise ``python -m``."""
    started_by = Path(sys.argv[0]).name.removesuffix(".exe")
    return SCRIPTS[module] if started_by in SCRIPTS.values() else f"python -m {module}"


def command_parser(module: str, description: str, examples: str) -> argparse.ArgumentParser:
    """The parser of a module's command line; its help ends with ``examples``, which call it ``python -m MODULE``."""
    return argparse.ArgumentParser(
        prog=program(module),
        description=description,
        epilog=examples.replace(f"python -m {module}", program(module)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def pip_install(*packages: str) -> str:
    """The command that installs packages into the environment of this program, from any folder."""
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])
