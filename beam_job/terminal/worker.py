"""One of DirectRunner's worker processes: Beam's own, which ends in order when the job is stopped.

Signals that the terminal or a supervisor sends to all processes of the job do not reach it. The process that started it
forwards SIGTERM.
"""

import logging
import shlex
import signal
import sys
from typing import TextIO

from beam_job.terminal import signals
from beam_job.terminal.console import is_sentence

COMMAND = f"trap '' HUP INT TERM; exec {shlex.quote(sys.executable)} -m beam_job.terminal.worker"
"""Starts a worker, in a shell; Beam tells it by its environment where the job is."""


def run() -> None:
    """Works until the job ends."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signals.listen()
    from apache_beam.runners.worker import sdk_worker, sdk_worker_main

    from beam_job.model.directory import delete_copies
    from beam_job.runs.shards import write_open_shards

    for name in ("apache_beam.runners.common", sdk_worker.__name__):
        logging.getLogger(name).addFilter(_is_news)
    sdk_worker.print = _print_news
    signals.on_stop(write_open_shards)
    signals.on_stop(delete_copies)
    try:
        sdk_worker_main.main(sys.argv)
    finally:
        signals.wait_if_stopping()


def _is_news(_: logging.LogRecord) -> bool:
    """Beam logs and prints the exception that it handles, and hands it over to the job, which says our own ones."""
    return not is_sentence(sys.exc_info()[1])


def _print_news(text: str, file: TextIO) -> None:
    if not is_sentence(sys.exc_info()[1]):
        print(text, file=file)


if __name__ == "__main__":
    run()
