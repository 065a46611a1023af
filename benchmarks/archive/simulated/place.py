"""Where a simulated archive is, on a disk or in a bucket, and where the job writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from benchmarks.archive.simulated.bucket import NAME, OUTPUT, Served, bucket
from benchmarks.archive.simulated.photos import Faults, Seeds, link

DISK, BUCKET = "disk", "bucket"


class Place(Protocol):
    """An archive and a place for output.

    Attributes:
      root: the start of every photo's URI.
      output: the start of the names of output folders.
    """

    root: str
    output: str

    def resize(self, count: int) -> None:
        """Makes the archive ``count`` photos large; it only grows."""

    def requests(self) -> dict[str, int]:
        """Requests by kind since the start, and the bytes of all answers; empty on a disk."""


class Disk:
    """An archive of hard links below ``folder``."""

    def __init__(self, folder: Path, seeds: Seeds, faults: Faults) -> None:
        self.root = str(folder / "photos")
        self.output = str(folder / "out")
        self._seeds = seeds
        self._faults = faults
        self._count = 0

    def resize(self, count: int) -> None:
        link(Path(self.root), self._seeds, self._faults, range(self._count, count))
        self._count = max(count, self._count)

    def requests(self) -> dict[str, int]:
        return {}


class Bucket:
    """An archive that a server makes up."""

    def __init__(self, served: Served) -> None:
        self.root = f"gs://{NAME}"
        self.output = f"gs://{OUTPUT}/out"
        self._served = served

    def resize(self, count: int) -> None:
        self._served.resize(count)

    def requests(self) -> dict[str, int]:
        return self._served.counts()


@contextmanager
def place(where: str, folder: Path, faults: Faults) -> Iterator[Place]:
    """An empty archive; with files in ``folder``, which may be as small as a few hundred photos for a bucket."""
    seeds = folder / "seeds"
    made = Seeds.make(seeds)
    if where == DISK:
        yield Disk(folder, made, faults)
        return
    with bucket(seeds, faults, 0) as served:
        yield Bucket(served)
