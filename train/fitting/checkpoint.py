"""All that an interrupted run needs to go on.

    checkpoint = Checkpoint("cache/runs/1f0c.npz", every_seconds=120)
    kept = checkpoint.restore()               # None at the first start
    checkpoint.save({"step": 1200, ...}, {"weights": [...], "best": [...]})

It is one file that is replaced at once, so that a run killed while it saves goes on from the save before.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from train.errors import StoppedError


class CheckpointError(StoppedError):
    """A checkpoint that can't be written or read; the message says what to do."""


class Kept(NamedTuple):
    """What a checkpoint holds: ``progress`` in JSON's types, and named lists of arrays."""

    progress: dict[str, Any]
    arrays: dict[str, list[np.ndarray]]


class Checkpoint:
    """A file that is replaced now and then while a run lasts."""

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
        """Whether the last save is long enough ago."""
        return time.monotonic() - self._saved >= self.every_seconds

    def save(self, progress: Mapping[str, Any], arrays: Mapping[str, Sequence[np.ndarray]]) -> None:
        """Replaces what was kept.

        Raises:
          CheckpointError: the disk is full, say.
        """
        named: dict[str, Any] = {
            f"{name}/{index:04d}": array for name, some in arrays.items() for index, array in enumerate(some)
        }
        beside = self.file.with_suffix(".new")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                np.savez(file, progress=json.dumps(progress), **named)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.file)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise CheckpointError(
                f"The checkpoint can't be written to {self.file} ({error}): free some space and give the same command "
                "again, which goes on from the checkpoint before."
            ) from error
        self._saved = time.monotonic()

    def restore(self) -> Kept | None:
        """What was saved last; None where nothing was.

        Raises:
          CheckpointError: the file is damaged.
        """
        if not self.file.exists():
            return None
        try:
            with np.load(self.file) as kept:
                progress = json.loads(str(kept["progress"]))
                arrays: dict[str, list[np.ndarray]] = {}
                for name in sorted(set(kept.files) - {"progress"}):
                    arrays.setdefault(name.partition("/")[0], []).append(kept[name])
        except Exception as error:  # zipfile and NumPy have many ways to say no
            raise CheckpointError(f"{self.file} is damaged ({error}): remove it to train from the start.") from error
        return Kept(progress, arrays)

    def remove(self) -> None:
        """The run is over."""
        self.file.unlink(missing_ok=True)
