"""``python -m beam_job``, and the command ``caption-images``."""

import gc
import sys

gc.disable()  # what imports make stays: to look for garbage in it again and again takes a part of the start
from beam_job.cli import main  # noqa: E402

gc.enable()


def run() -> None:
    """Runs the job and ends the process with its exit status."""
    status = main()
    gc.freeze()  # TensorFlow's graphs are looked through for a second before the process ends
    sys.exit(status)


if __name__ == "__main__":
    run()
