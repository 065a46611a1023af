"""The job in a process of its own to which something happens at a known moment.

    python -m tests.odd_job MARKER EVENT <options of the job>

It makes the file MARKER when the moment has come. An EVENT that is a phase of the job (import, check, model,
captioning, writing, report) keeps it there: the main thread is in C code, as in TensorFlow, and when it comes back to
Python goes there again. The others are accidents.
"""

import ctypes
import os
import sys
from pathlib import Path

from beam_job.terminal import signals
from tests.recorded_job import Captioner, stand_in


class OddCaptioner(Captioner):
    """One whose second batch never ends, or during whose first one something happens."""

    marker, event = Path(os.devnull), ""
    batches = 0

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        if self.event == "model":
            stay()

    def caption(self, pixels, uris):
        self.batches += 1
        if self.event == "captioning" and self.batches == 2:
            stay()
        if self.event == "noise":
            os.write(2, b"written to the descriptor of standard error\n" * 1000)
        if self.event == "filter dies":
            import psutil

            (child,) = (child for child in psutil.Process().children() if "stderr_filter" in " ".join(child.cmdline()))
            child.kill()
            child.wait()
        return super().caption(pixels, uris)


def stay(*_, **__):
    OddCaptioner.marker.touch()
    while True:
        ctypes.CDLL(None).sleep(600)


class StayWithBeam:
    """An importer that never gets Beam imported."""

    @staticmethod
    def find_spec(name, *_):
        if name == "apache_beam":
            stay()


def write_while_stopping(path, data):
    if "captions-" in path:
        OddCaptioner.marker.touch()
        signals._stop.begun.wait()
    write_whole(path, data)


if __name__ == "__main__":
    OddCaptioner.marker, OddCaptioner.event = Path(sys.argv[1]), sys.argv[2]
    signals.SECONDS = 60.0  # on a busy machine, too
    stand_in(OddCaptioner)
    if OddCaptioner.event == "import":
        sys.meta_path.insert(0, StayWithBeam)
    elif OddCaptioner.event == "check":
        from beam_job import cli

        cli.check_inputs = stay
    elif OddCaptioner.event == "writing":
        from beam_job.runs import shards

        write_whole, shards.write_whole = shards.write_whole, write_while_stopping
    elif OddCaptioner.event == "report":
        from beam_job import report

        report.write_report = stay
    sys.argv[1:3] = []
    from beam_job.__main__ import run

    run()
