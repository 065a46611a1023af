"""``python -m beam_job.review``, and the command ``caption-review``."""

from beam_job.review.command import main
from beam_job.terminal import streams


def run() -> None:
    """Writes a page or adds reviews, and ends the process with its exit status."""
    streams.run(main)


if __name__ == "__main__":
    run()
