"""``python -m beam_job.report``."""

import sys

from beam_job.report.command import main

if __name__ == "__main__":
    sys.exit(main())
