"""All that an interrupted run needs to go on.

    checkpoint = Checkpoint("model.run/checkpoint.npz", run={"recipe": ..., "seed": 0}, variables=[...])
    progress = checkpoint.restore()           # None at the first start
    checkpoint.save({"step": 1200, "losses": [...]})

It is one file that is replaced at once, so that a run killed while it saves goes on from the save before.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np


class CheckpointError(ValueError):
    """A checkpoint that this run can't go on from; the message says what to do."""


class Checkpoint:
    """Weights, the optimiser's state and the random number generators of a run, and how far it is."""

    def __init__(self, file: str | os.PathLike[str], run: Mapping[str, Any], variables: Sequence[keras.Variable]):
        """
        Args:
          file: where the checkpoint is kept.
          run: all that decides the run's result, in JSON's types; a checkpoint of another run is refused.
          variables: what to keep, always in the same order.
        """
        self.file, self.variables = Path(file), variables
        self.run = json.dumps(run, sort_keys=True)

    def save(self, progress: Mapping[str, Any]) -> None:
        """Keeps the variables' present values and ``progress``, which is in JSON's types."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.file.with_suffix(".new")
        with beside.open("wb") as file:
            values = {f"{index:04d}": variable.numpy() for index, variable in enumerate(self.variables)}
            np.savez(file, run=self.run, progress=json.dumps(progress), **values)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.file)

    def restore(self) -> dict[str, Any] | None:
        """Brings the variables back and returns ``progress``; None where there is no checkpoint.

        Raises:
          CheckpointError: the checkpoint is of another run.
        """
        if not self.file.exists():
            return None
        with np.load(self.file) as kept:
            if str(kept["run"]) != self.run:
                raise CheckpointError(
                    f"{self.file} is of a run with other data or settings: remove it or choose another output."
                )
            for index, variable in enumerate(self.variables):
                variable.assign(kept[f"{index:04d}"])
            return json.loads(str(kept["progress"]))

    def remove(self) -> None:
        """The run is over."""
        self.file.unlink(missing_ok=True)
