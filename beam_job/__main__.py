"""``python -m beam_job``, and the command ``caption-images``."""

import gc
import sys

from beam_job.terminal import signals, streams

_STOPPED = "stopped: what was captioned is kept, and the same command goes on from there."


def run() -> None:
    """Runs the job and ends the process with its exit status."""
    streams.prepare()
    signals.listen(_STOPPED)  # before anything that takes time
    try:
        gc.disable()  # what imports make stays: to look for garbage in it again and again takes a part of the start
        from beam_job.cli import main

        gc.enable()
        status = main()
    finally:
        signals.wait_if_stopping()
    streams.finish()
    gc.freeze()  # TensorFlow's graphs are looked through for a second before the process ends
    sys.exit(status)


if __name__ == "__main__":
    run()
