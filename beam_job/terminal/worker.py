"""One of DirectRunner's worker processes: Beam's own, which writes what it holds when the job is stopped.

What the terminal or a supervisor sends to all processes of the job does not reach it. The process that started it
passes SIGTERM on.
"""

import shlex
import signal
import sys

from beam_job.terminal import signals

COMMAND = f"trap '' HUP INT TERM; exec {shlex.quote(sys.executable)} -m beam_job.terminal.worker"
"""Starts a worker, in a shell; Beam tells it by its environment where the job is."""


def run() -> None:
    """Works until the job ends."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signals.listen()
    from apache_beam.runners.worker import sdk_worker_main

    from beam_job.runs.shards import write_open_shards

    signals.on_stop(write_open_shards)
    try:
        sdk_worker_main.main(sys.argv)
    finally:
        signals.wait_if_stopping()


if __name__ == "__main__":
    run()
