"""The job in a process of its own that a test can kill: each image takes a while, and is written down when captioned.

    python -m tests.recorded_job LOG SECONDS_PER_IMAGE <options of the job>

A stand-in captions, so that a process starts without TensorFlow; everything else is the job itself.
"""

import sys
import time
from types import ModuleType

from beam_job import cli
from beam_job.records import Caption

log, seconds = sys.argv[1], float(sys.argv[2])


class Captioner:
    device = "CPU"

    def __init__(self, model, *_, **__):
        self.fingerprint = model.fingerprint

    def warm_up(self):
        pass

    def caption(self, pixels, uris):
        time.sleep(seconds * len(uris))
        with open(log, "ab", buffering=0) as file:
            file.write("".join(f"{uri}\n" for uri in uris).encode())
        return [[Caption("A cat.", ["a", "cat"], -1.0, -1.0, True)] for _ in uris]


sys.modules["beam_job.captioner"] = ModuleType("beam_job.captioner")
sys.modules["beam_job.captioner"].Captioner = Captioner
sys.exit(cli.main(sys.argv[3:]))
