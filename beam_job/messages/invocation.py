"""How these programs are started here, for help texts and hints that can be copied."""

import argparse
import shlex
import sys
from pathlib import Path

SCRIPTS = {
    "beam_job": "caption-images",
    "beam_job.report": "caption-report",
    "beam_job.review": "caption-review",
    "beam_job.trust": "caption-trust",
    "beam_job.export": "caption-export",
    "beam_job.inspect": "caption-inspect",
    "train": "train-captioner",
}


def program(module: str) -> str:
    """Starts a module's program: by its script where this process was started by one of them, else ``python -m``."""
    started_by = Path(sys.argv[0]).name.removesuffix(".exe")
    return SCRIPTS[module] if started_by in SCRIPTS.values() else f"python -m {module}"


def command_parser(module: str, description: str, examples: str) -> argparse.ArgumentParser:
    """The parser of a module's command line; its help ends with ``examples``, which call it ``python -m MODULE``."""
    return argparse.ArgumentParser(
        prog=program(module),
        description=description,
        epilog=examples.replace(f"python -m {module}", program(module)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def pip_install(*packages: str) -> str:
    """Installs packages where this program runs, from any folder."""
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])
