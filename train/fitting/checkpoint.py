"""Everything that an interrupted run needs to resume.

    checkpoint = Checkpoint("cache/runs/1f0c.npz", every_seconds=120)
    snapshot = checkpoint.restore()           # None at the first start
    checkpoint.save({"step": 1200, ...}, {"weights": [...], "best": [...]})

It is one file, replaced atomically: a run that is killed while it saves resumes from the save before.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from beam_job.files.whole import open_whole
from train.errors import StoppedError


class CheckpointError(StoppedError):
    """A checkpoint that can't be written or read; the message says what to do."""


class Snapshot(NamedTuple):
    """The contents of a checkpoint: ``progress`` in JSON's types, and named lists of arrays."""

    progress: dict[str, Any]
    arrays: dict[str, list[np.ndarray]]


class Checkpoint:
    """A file that is replaced at intervals while a run lasts."""

    def __init__(self, file: str | os.PathLike[str], every_seconds: float):
        """
        Args:
          file: where the checkpoint is kept.
          every_seconds: how much work a run may lose.
        """
        self.file, self.every_seconds = Path(file), every_seconds
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time for the next save."""
        return time.monotonic() - self._saved >= self.every_seconds

    def save(self, progress: Mapping[str, Any], arrays: Mapping[str, Sequence[np.ndarray]]) -> None:
        """Replaces the snapshot.

        Raises:
          CheckpointError: the disk is full, say.
        """
        named: dict[str, Any] = {
            f"{name}/{index:04d}": array for name, some in arrays.items() for index, array in enumerate(some)
        }
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with open_whole(str(self.file)) as file:
                np.savez(file, progress=json.dumps(progress), **named)
        except OSError as error:
            raise CheckpointError(
                f"The checkpoint can't be written to {self.file} ({error}): free some space and run the same command "
                "again; it resumes from the checkpoint before."
            ) from error
        self._saved = time.monotonic()

    def restore(self) -> Snapshot | None:
        """The last snapshot; None if there is none.

        Raises:
          CheckpointError: the file is damaged.
        """
        if not self.file.exists():
            return None
        try:
            with np.load(self.file) as stored:
                progress = json.loads(str(stored["progress"]))
                arrays: dict[str, list[np.ndarray]] = {}
                for name in sorted(set(stored.files) - {"progress"}):
                    arrays.setdefault(name.partition("/")[0], []).append(stored[name])
        except Exception as error:  # zipfile and NumPy raise many kinds
            raise CheckpointError(f"{self.file} is damaged ({error}): remove it to train from the start.") from error
        return Snapshot(progress, arrays)

    def remove(self) -> None:
        """The run is over: deletes the checkpoint, and what killed runs left beside it."""
        for file in (self.file, *self.file.parent.glob(f"{self.file.name}.*.tmp")):
            file.unlink(missing_ok=True)
