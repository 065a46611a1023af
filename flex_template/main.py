"""What a Flex Template's launcher runs: it builds the job, hands it over and ends."""

import sys

from beam_job.cli import main

if __name__ == "__main__":
    sys.exit(main(launcher=True))
