"""From the command to the first caption, with the default model: importing, loading, tracing, one photograph."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measurement import Measurement, seconds
from benchmarks.photographs import SAMPLES

GROUP = "Start to first caption"


def measure(folder: Path, rounds: int) -> list[Measurement]:
    """Seconds of a whole run over one photograph; one more run before warms the file cache."""
    command = [sys.executable, "-m", "beam_job", "--images", str(SAMPLES[0]), "--output", str(folder / "out")]
    command += ["--runner", "DirectRunner", "--recaption"]

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    run()
    samples = [seconds(time.perf_counter, run) for _ in range(rounds)]
    return [Measurement(GROUP, "a run over one photograph", "s", samples, "<= 15")]
