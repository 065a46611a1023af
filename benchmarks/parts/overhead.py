"""What the pipeline itself costs: the whole job with a model that does nothing.

Decoder processes are not counted, and what reading the photographs takes is measured apart and taken off. Each run has
a process of its own, for the sake of its memory, whose peak Linux tells: ``python -m benchmarks.parts.overhead FOLDER
IMAGES`` prints one as JSON.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from beam_job.cli import main as run_job
from beam_job.devices import BATCH_SIZE
from beam_job.images.fetch import Fetcher, FetchLimits
from beam_job.model.adaptive_batch import AdaptiveCaptioner
from beam_job.model.handler import CaptionHandler
from benchmarks.archive.stand_ins.idle_model import IdleCaptioner
from benchmarks.figures.measurement import Measurement
from benchmarks.inputs.photographs import photographs

GROUP = "Overhead with a model that does nothing"
_PHOTOS = 500  # different ones; the others are links to them
_SIZE = (96, 72)


def measure(folder: Path, sizes: Sequence[int], rounds: int) -> list[Measurement]:
    """CPU milliseconds an image beyond reading and decoding, and memory, at several numbers of images.

    The least number is run ``rounds`` times, the others once; a run of a single image tells what starting up takes.
    """
    photos = photographs(folder / "photographs", _PHOTOS, _SIZE)
    links = folder / "links"
    links.mkdir()
    for number in range(max(sizes)):
        os.link(photos[number % _PHOTOS], links / f"{number:06}.jpg")
    startups = [_run(links, 1)["cpu"] for _ in range(rounds)]
    found = []
    for count in sizes:
        runs = [_run(links, count) for _ in range(rounds if count == min(sizes) else 1)]
        each = [1000 * (run["cpu"] - statistics.median(startups)) / (count - 1) - run["alone"] for run in runs]
        name = f"{count:,} images"
        found += [
            Measurement(GROUP, f"{name}: reading alone", "ms of CPU", [run["alone"] for run in runs]),
            Measurement(GROUP, f"{name}: the pipeline beyond that", "ms of CPU", each, "<= 3"),
            Measurement("Memory of the same runs", name, "MiB", [run["mebibytes"] for run in runs]),
        ]
    return found


def _reading(photos: Sequence[str]) -> float:
    """CPU milliseconds an image."""
    fetcher = Fetcher(FetchLimits())
    started = time.process_time()
    for path in photos:
        fetcher.fetch(path)
    return 1000 * (time.process_time() - started) / len(photos)


def _run(links: Path, count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.parts.overhead", str(links), str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """One run, in this process."""
    links, count = Path(sys.argv[1]), int(sys.argv[2])
    folder = links.parent / f"job {os.getpid()}"
    folder.mkdir()
    names = sorted(path.name for path in links.iterdir())[:count]
    (folder / "list.txt").write_text("".join(f"{links / name}\n" for name in names))
    argv = ["--uris", folder / "list.txt", "--output", folder / "out", "--runner", "DirectRunner"]

    def loaded(handler: CaptionHandler) -> AdaptiveCaptioner:
        return AdaptiveCaptioner(lambda batch_size: IdleCaptioner(0), BATCH_SIZE)  # type: ignore[arg-type,return-value]

    with mock.patch.object(CaptionHandler, "load_model", loaded):
        status = run_job([str(argument) for argument in argv])
    cpu = time.process_time()
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    alone = _reading([str(links / name) for name in names[:_PHOTOS]])
    print(json.dumps({"cpu": cpu, "alone": alone, "mebibytes": int(peak) / 1024}))
    sys.exit(status)


if __name__ == "__main__":
    main()
