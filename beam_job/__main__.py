"""``python -m beam_job``, and the command ``caption-images``."""

import gc
import sys

# Beam, TensorFlow and the model's graphs are millions of objects that stay: to look through them again and again for
# some that are no longer needed, while they are made, takes two seconds of the start.
gc.set_threshold(100_000, 50, 50)

from beam_job.cli import main  # noqa: E402


def run() -> None:
    """Runs the job and ends the process."""
    status = main()
    gc.freeze()  # and to look through them a last time takes another second
    sys.exit(status)


if __name__ == "__main__":
    run()
