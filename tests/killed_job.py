"""The job in a process of its own that is killed at a known write; a stand-in captions colours.

    python -m tests.killed_job LOG STEP MOMENT <options of the job>

The process ends at once, as by SIGKILL: nothing is closed, written or said.
"""

import os
import sys
from types import ModuleType

from apache_beam.internal.gcp import auth

from beam_job.cli import main
from tests.kills import Kill
from tests.photo_places import ColourCaptioner

if __name__ == "__main__":
    log, step, moment, *argv = sys.argv[1:]
    ColourCaptioner.log = log
    sys.modules["beam_job.model.captioner"] = ModuleType("beam_job.model.captioner")
    sys.modules["beam_job.model.captioner"].Captioner = ColourCaptioner
    auth._Credentials._credentials_init = True  # Beam would look for credentials for 20 s
    with Kill(int(step), moment, lambda: os._exit(9)):
        main(argv)
