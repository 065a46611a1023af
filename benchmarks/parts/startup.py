"""The whole command with the default model: its time over one photograph, and its memory at its peak."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures.measurement import Measurement
from benchmarks.inputs.photographs import SAMPLES, photographs

GROUP = "The whole command, the default model"
_PHOTOS = 24  # different ones; the others are links to them
# In a small process: the memory that the system reports is at least that of the process that starts a command.
_WATCH = """
import os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(time.perf_counter() - started, used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measure(folder: Path, rounds: int, sizes: Sequence[int]) -> list[Measurement]:
    """Seconds and MiB of runs over one photograph, and MiB of one run for each of ``sizes``, numbers of photographs.

    A run before warms the file cache.
    """
    some = photographs(folder / "photographs", _PHOTOS)
    links = folder / "links"
    links.mkdir()
    for number in range(max(sizes)):
        os.link(some[number % _PHOTOS], links / f"{number:06}.jpg")
    _run(folder, SAMPLES[:1])
    runs = [_run(folder, SAMPLES[:1]) for _ in range(rounds)]
    found = [
        Measurement(GROUP, "a run over one photograph", "s", [seconds for seconds, _ in runs], "<= 5"),
        Measurement(f"{GROUP}, memory", "one photograph", "MiB", [memory for _, memory in runs], "<= 1300"),
    ]
    for size in sizes:
        _, memory = _run(folder, sorted(links.iterdir())[:size])
        found.append(Measurement(f"{GROUP}, memory", f"{size:,} photographs", "MiB", [memory], "<= 1300"))
    return found


def _run(folder: Path, photos: Sequence[Path]) -> tuple[float, float]:
    """Seconds that a run took, and the largest resident memory of its main process in MiB."""
    (folder / "list.txt").write_text("".join(f"{photo}\n" for photo in photos))
    command = [sys.executable, "-m", "beam_job", "--uris", str(folder / "list.txt"), "--output", str(folder / "out")]
    command += ["--runner", "DirectRunner", "--recaption"]
    done = subprocess.run([sys.executable, "-c", _WATCH, *command], stdout=subprocess.PIPE, text=True, check=True)
    took, memory = map(float, done.stdout.split())
    return took, memory / (1 << (20 if sys.platform == "darwin" else 10))
