"""The job in a process of its own that a test can stop: each image takes a while, and is written down when captioned.

    python -m tests.recorded_job LOG SECONDS_PER_IMAGE <options of the job>

A stand-in captions, so that a process starts without TensorFlow; everything else is the program itself. Where the
environment has STAY_AFTER=N, no more than N images are captioned, and then the job stays where it is, or until there is
the file that STAY_UNTIL names.
"""

import os
import sys
import time
from types import ModuleType


class Captioner:
    device = "CPU"
    log, seconds = os.devnull, 0.0
    captioned, most, go = 0, float(os.environ.get("STAY_AFTER", "inf")), os.environ.get("STAY_UNTIL", "")

    def __init__(self, model, *_, **__):
        self.fingerprint = model.fingerprint

    def warm_up(self):
        pass

    def caption(self, pixels, uris):
        from beam_job.records import Caption, Captions

        self.captioned += len(uris)
        while self.captioned > self.most and not os.path.exists(self.go):
            time.sleep(0.02)
        time.sleep(self.seconds * len(uris))
        with open(self.log, "ab", buffering=0) as file:
            file.write("".join(f"{uri}\n" for uri in uris).encode(errors="surrogateescape"))
        return [Captions([Caption("A cat.", ["a", "cat"], -1.0, -1.0, True)]) for _ in uris]


def stand_in(captioner):
    """Makes ``captioner`` the class that captions."""
    sys.modules["beam_job.model.captioner"] = ModuleType("beam_job.model.captioner")
    sys.modules["beam_job.model.captioner"].Captioner = captioner


if __name__ == "__main__":
    Captioner.log, Captioner.seconds = sys.argv[1], float(sys.argv[2])
    stand_in(Captioner)
    sys.argv[1:3] = []
    from beam_job.__main__ import run

    run()
