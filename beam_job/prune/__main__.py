"""``python -m beam_job.prune``, and the command ``caption-prune``."""

from beam_job.prune.command import main
from beam_job.terminal import streams


def run() -> None:
    """Prunes a folder, and ends the process with its exit status."""
    streams.run(main)


if __name__ == "__main__":
    run()
