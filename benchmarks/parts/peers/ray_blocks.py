"""Ray Data with blocks of one batch.

Ray cuts each block into batches of its own, and the model pads what is left of it: of the blocks of 35 photos that Ray
chose in a trial, every other batch had 3 photos and took as long as one of 32.
"""

import math

from benchmarks.parts.peers.ray_data import caption
from benchmarks.parts.peers.task import Task


def main() -> None:
    task = Task.from_command_line()
    caption(task, blocks=math.ceil(len(task.paths()) / task.batch_size))


if __name__ == "__main__":
    main()
