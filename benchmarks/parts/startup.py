"""The whole command with the default model: from its start to the first caption, and its memory at its peak."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures.measurement import Measurement
from benchmarks.inputs.photographs import SAMPLES, photographs

GROUP = "The whole command, the default model"
_PHOTOS = 24  # different ones; the others are links to them


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
    started = time.perf_counter()
    with subprocess.Popen(
        [*command, "--runner", "DirectRunner", "--recaption"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    in_mebibytes = 1 << (20 if sys.platform == "darwin" else 10)
    return time.perf_counter() - started, used.ru_maxrss / in_mebibytes
