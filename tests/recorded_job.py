"""The job in a process of its own that a test can kill: each image takes a while, and is written down when captioned.

python -m tests.recorded_job LOG SECONDS_PER_IMAGE <options of the job>
"""

import os
import sys
import time

from beam_job import cli
from beam_job.captioner import Captioner

log, seconds = sys.argv[1], float(sys.argv[2])
caption = Captioner.caption


def recorded(self, pixels, uris):
    found = caption(self, pixels, uris)
    time.sleep(seconds * len(uris))
    with open(log, "ab", buffering=0) as file:
        file.write("".join(f"{uri}\n" for uri in uris if uri).encode())  # warming up has no URI
    return found


Captioner.caption = recorded
sys.exit(cli.main(sys.argv[3:]))
