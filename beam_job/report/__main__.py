"""``python -m beam_job.report``, and the command ``caption-report``."""

from beam_job.report.command import main
from beam_job.terminal import streams


def run() -> None:
    """Writes a report and ends the process with its exit status."""
    streams.run(main)


if __name__ == "__main__":
    run()
