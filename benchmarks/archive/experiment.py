"""One simulated archive and the processes that work on it, each observed: what a part of the benchmark is made of."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from beam_job.runs.folder import CAPTIONS
from benchmarks.archive import job
from benchmarks.archive.books import books, runs
from benchmarks.archive.engine import DIRECT, engine
from benchmarks.archive.observed import JOB, Observed, observe
from benchmarks.archive.simulated.photos import Faults, write_list
from benchmarks.archive.simulated.place import DISK, Place, place


@dataclass(frozen=True)
class Scale:
    """How much is measured, and how.

    Attributes:
      images: sizes of archives, or numbers of files for the manifest.
      where: DISK or BUCKET.
      faults: shares of photos with faults.
      seconds: that the model takes for an image.
      bundle: records in a bundle, where bundles are made small; 0: the runner's own.
      kills: how often a run is killed before it may end.
      kill: what is killed, in turns, as for ``observe``.
      nights: how many.
      growth: of the archive in a night.
      engine: one of ``ENGINES``.
      workers: processes that share the work.
      options: of the job.
    """

    images: Sequence[int] = (1000,)
    where: str = DISK
    faults: Faults = field(default_factory=Faults)
    seconds: float = 0.0
    bundle: int = 0
    kills: int = 0
    kill: Sequence[str] = (JOB,)
    nights: int = 30
    growth: float = 0.01
    engine: str = DIRECT
    workers: int = 1
    options: Sequence[str] = ()


@dataclass(frozen=True)
class Row:
    """Figures of one process and its descendants.

    Attributes:
      part: of the benchmark.
      name: what ran, as ``10,000 images``.
      size: what its cost is set against: images, objects or files.
      figures: what it used, what it asked the bucket for, and what it left.
    """

    part: str
    name: str
    size: int
    figures: dict[str, Any]

    def __str__(self) -> str:
        told = {key: value for key, value in self.figures.items() if key not in ("memory", "processes")}
        peaks = {role: each["peak_mebibytes"] for role, each in self.figures.get("processes", {}).items()}
        return f"{self.part}: {self.name}: {told}, most MiB of one process: {peaks}"


class Experiment:
    """An archive that can grow, and runs over it that share an output folder."""

    def __init__(self, part: str, folder: Path, archive: Place, scale: Scale) -> None:
        self.archive = archive
        self._part = part
        self._folder = folder
        self._scale = scale

    def listed(self, count: int) -> list[str]:
        """The options of a job over a list of the first photos."""
        path = self._folder / f"list-{count}.txt"
        write_list(path, self.archive.root, count)
        return ["--uris", str(path)]

    def caption(self, name: str, size: int, argv: Sequence[str], kill_at: int = 0, kill: str = JOB) -> Row:
        """Runs the job; ``kill`` is killed when so many captions are in files, if ``kill_at`` is given: on disks."""
        seen: dict[str, int] = {}

        def enough() -> bool:
            return _captions_on_disk(self.archive.output, seen) >= kill_at

        scale = self._scale
        command = [job.CAPTION, str(scale.seconds), str(scale.bundle), str(int(kill_at > 0)), *argv]
        command += ["--output", self.archive.output]
        before = self.archive.requests()
        used = self._observe(command, kill=kill, kill_when=enough if kill_at else None)
        return self._row(name, size, used, before, books(self.archive.output))

    def list(self, name: str, size: int, globs: Sequence[str]) -> Row:
        """Lists what globs match, and nothing else."""
        before = self.archive.requests()
        used = self._observe([job.LIST, *globs])
        return self._row(name, size, used, before)

    def write_manifest(self, name: str, shards: int, records: int) -> Row:
        """Has the last steps of a run merge so many files, if they are small, and write the manifest."""
        used = self._observe([job.MANIFEST, f"{self._folder}/manifest", str(shards), str(records)])
        return self._row(name, shards, used, {})

    def _observe(self, arguments: Sequence[str], **options: Any) -> Observed:
        log, scale = self._folder / "log", self._scale
        command = [sys.executable, "-m", "benchmarks.archive.job", *arguments]
        with engine(scale.engine, scale.workers) as running:
            command += [*running.options, *scale.options]
            used = observe(command, log, watch=running.processes, **options)
        if used.status and not used.killed:
            raise RuntimeError(f"{arguments} ended with {used.status}: {log.read_text()[-3000:]}")
        return used

    def _row(
        self, name: str, size: int, used: Observed, before: dict[str, int], left: dict[str, Any] | None = None
    ) -> Row:
        asked = {kind: number - before.get(kind, 0) for kind, number in self.archive.requests().items()}
        figures = used.to_json()
        figures |= {"requests": asked} if asked else {}
        figures |= {"books": left} if left else {}
        return Row(self._part, name, size, figures)


@contextmanager
def experiment(part: str, scale: Scale) -> Iterator[Experiment]:
    """An empty archive in a temporary folder."""
    with TemporaryDirectory() as name, place(scale.where, Path(name), scale.faults) as archive:
        yield Experiment(part, Path(name), archive, scale)


def _captions_on_disk(output: str, seen: dict[str, int]) -> int:
    """Captions in complete files; ``seen`` has those of each file that was counted."""
    found = runs(output) if Path(output).is_dir() else []
    for path in (path for each in found for path in each.files(CAPTIONS) if path not in seen):
        with open(path, "rb") as file:
            seen[path] = sum(1 for _ in file)
    return sum(seen.values())
