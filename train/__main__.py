"""``python -m train``, and the command ``train-captioner``."""

from typing import NoReturn

from beam_job.terminal import streams
from train.cli import main


def run() -> NoReturn:
    """Runs a command and ends the process with its exit status."""
    streams.run(main)


if __name__ == "__main__":
    run()
