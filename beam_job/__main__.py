"""``python -m beam_job``."""

import sys

from beam_job.cli import main

if __name__ == "__main__":
    sys.exit(main())
