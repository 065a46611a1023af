"""All runs of a folder as one: the current caption of each image, or its newest failure if it has none."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from beam_job.runs.digest import digest64
from beam_job.runs.folder import CAPTIONS, RunFolder


@dataclass
class OutputFolder:
    """A folder of runs.

    Attributes:
      directory: the folder.
      runs: the runs whose captions count (``beam_job.runs.current``), newest first.
      problems: sentences about everything that the job would not write; filled while records are read.
    """

    directory: str
    runs: list[RunFolder]
    problems: list[str] = field(default_factory=list)
    _captioned: set[int] = field(default_factory=set)

    @property
    def finished(self) -> bool:
        """Whether the newest run has finished."""
        return self.runs[0].finished

    @property
    def about(self) -> dict[str, Any]:
        """The description of the newest run, with the start of the first run; without counts and times, which differ by
        run.
        """
        newest = {name: value for name, value in self.runs[0].about.items() if name not in ("id", "counts", "seconds")}
        return {**newest, "started": self.runs[-1].about.get("started"), "runs": len(self.runs)}

    def read(
        self, kind: str, read_run: Callable[[RunFolder, str], Iterator[dict[str, Any]]]
    ) -> Iterator[dict[str, Any]]:
        """Yields the current captions; with ``FAILURES`` the newest failures of images without a caption.

        Memory: about 100 bytes for each image.
        """
        seen: set[int] = set()
        for run in self.runs:
            for record in read_run(run, kind):
                number = digest64(record["uri"])
                if number not in seen and (kind == CAPTIONS or number not in self._captioned):
                    seen.add(number)
                    yield record
            self.problems += [f"run={run.id}/{problem}" for problem in run.problems]
            run.problems.clear()
        if kind == CAPTIONS:
            self._captioned = seen
