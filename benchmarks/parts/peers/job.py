"""The job: ``python -m beam_job`` on DirectRunner, with a note of each batch's end."""

import gc
import sys
from collections.abc import Sequence
from unittest import mock

import numpy as np

from benchmarks.parts.peers.batch_ends import note_end
from benchmarks.parts.peers.task import Task


def main() -> None:
    """Ends the process with the job's exit status."""
    task = Task.from_command_line()
    gc.disable()  # as beam_job.__main__ does while it imports Beam, which is imported here already
    from beam_job.__main__ import run
    from beam_job.model.adaptive_batch import AdaptiveCaptioner

    caption = AdaptiveCaptioner.caption

    def noted(captioner: AdaptiveCaptioner, pixels: Sequence[np.ndarray], uris: Sequence[str]) -> object:
        found = caption(captioner, pixels, uris)
        note_end(task.ends, len(uris))
        return found

    command = ["beam_job", f"--uris={task.photos}", f"--output={task.output}", f"--model={task.model}"]
    command += [f"--batch_size={task.batch_size}", "--runner=DirectRunner"]
    with mock.patch.object(sys, "argv", command), mock.patch.object(AdaptiveCaptioner, "caption", noted):
        run()


if __name__ == "__main__":
    main()
