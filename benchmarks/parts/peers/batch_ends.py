"""When a program's batches ended, noted in a file, and the images a second that follow from it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class BatchEnd(NamedTuple):
    """The end of one batch."""

    seconds: float  # by a clock of the process that notes it
    images: int  # in this batch


def note_end(path: Path, images: int) -> None:
    """Adds the end of a batch. All batches of a program have to be noted by one process."""
    with path.open("a") as file:
        file.write(f"{time.perf_counter()} {images}\n")


def read_ends(path: Path) -> list[BatchEnd]:
    return [BatchEnd(float(seconds), int(images)) for seconds, images in map(str.split, path.read_text().splitlines())]


def steady_rate(ends: Sequence[BatchEnd]) -> float:
    """Images a second from the first batch's end to that of the last but two, as ``throughput`` measures the job.

    There have to be at least four batches, not necessarily of the same size.
    """
    window = ends[:-2]
    return sum(end.images for end in window[1:]) / (window[-1].seconds - window[0].seconds)
