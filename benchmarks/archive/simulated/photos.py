"""A simulated archive: any number of small photos under names of their own, a share of them with faults.

Each photo is one of a few hundred JPEGs, which a disk has as hard links, and which ``bucket`` serves as objects. A
photo's name and its fault depend on its number alone, so that an archive can grow.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from beam_job.runs.digest import digest64
from benchmarks.inputs.photographs import photographs

SIZE = (96, 72)
SEEDS = 300
BROKEN, MISSING, UNAVAILABLE = "broken", "missing", "unavailable"
_FOLDER = 10_000  # photos in a folder


@dataclass(frozen=True)
class Faults:
    """Shares of photos that are cut off, that are listed but not there, and that are answered with 503 once.

    The last need a bucket.
    """

    broken: float = 0.01
    missing: float = 0.01
    unavailable: float = 0.05

    def of(self, number: int) -> str:
        """The fault of the photo with that number; empty where it has none."""
        place = digest64(f"fault of {number}") / 2**64
        for name, share in ((BROKEN, self.broken), (MISSING, self.missing), (UNAVAILABLE, self.unavailable)):
            if place < share:
                return name
            place -= share
        return ""


def name_of(number: int) -> str:
    """The photo's name within the archive; names sort as numbers do."""
    return f"{number // _FOLDER:04}/{number:08}.jpg"


@dataclass(frozen=True)
class Seeds:
    """The JPEGs that all photos are made of: whole ones, and their first halves."""

    whole: tuple[Path, ...]
    broken: tuple[Path, ...]

    @classmethod
    def make(cls, folder: Path, count: int = SEEDS) -> "Seeds":
        """Writes them to ``folder/whole`` and ``folder/broken``."""
        whole = photographs(folder / "whole", count, SIZE)
        (folder / "broken").mkdir(exist_ok=True)
        broken = []
        for path in whole:
            broken.append(folder / "broken" / path.name)
            broken[-1].write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return cls(tuple(whole), tuple(broken))

    @classmethod
    def read(cls, folder: Path) -> "Seeds":
        """Those that ``make`` wrote."""
        whole, broken = (tuple(sorted((folder / name).iterdir())) for name in ("whole", "broken"))
        return cls(whole, broken)

    def of(self, number: int, faults: Faults) -> Path | None:
        """The file that holds the photo's bytes; ``None`` for one that is missing."""
        fault = faults.of(number)
        if fault == MISSING:
            return None
        files = self.broken if fault == BROKEN else self.whole
        return files[number % len(files)]


def link(folder: Path, seeds: Seeds, faults: Faults, numbers: range) -> None:
    """Adds photos to an archive on a disk."""
    for number in numbers:
        if number % _FOLDER == 0 or number == numbers.start:
            (folder / name_of(number)).parent.mkdir(parents=True, exist_ok=True)
        seed = seeds.of(number, faults)
        if seed is not None:
            os.link(seed, folder / name_of(number))


def write_list(path: Path, root: str, count: int) -> None:
    """Writes the list of an archive's first photos, missing ones included."""
    with path.open("w") as file:
        file.writelines(f"{root}/{name_of(number)}\n" for number in range(count))


def expected(count: int, faults: Faults) -> dict[str, int]:
    """How many of the first photos have each fault."""
    found = {BROKEN: 0, MISSING: 0, UNAVAILABLE: 0}
    for fault in _faults(count, faults):
        found[fault] += 1
    return found


def _faults(count: int, faults: Faults) -> Iterator[str]:
    return filter(None, map(faults.of, range(count)))
