"""``python -m beam_job.export``, and the command ``caption-export``."""

import sys

from beam_job.terminal import signals, streams

_STOPPED = "stopped: all written files are complete, and the same command resumes."


def run() -> None:
    """Exports captions and ends the process with its exit status."""
    streams.prepare()
    signals.listen(_STOPPED)  # before anything that takes time
    try:
        from beam_job.export.command import main

        status = main()
    finally:
        signals.wait_if_stopping()
    streams.finish()
    sys.exit(status)


if __name__ == "__main__":
    run()
