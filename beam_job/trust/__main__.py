"""``python -m beam_job.trust``, and the command ``caption-trust``."""

from beam_job.terminal import streams
from beam_job.trust.command import main


def run() -> None:
    """Prints the table, and ends the process with its exit status."""
    streams.run(main)


if __name__ == "__main__":
    run()
