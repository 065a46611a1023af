"""Ray Data with blocks of one batch.

Otherwise Ray puts blocks together until they fill a batch, and what is left over becomes a smaller batch.
"""

import math

from benchmarks.parts.peers.ray_data import caption
from benchmarks.parts.peers.task import Task


def main() -> None:
    task = Task.from_command_line()
    caption(task, blocks=math.ceil(len(task.paths()) / task.batch_size))


if __name__ == "__main__":
    main()
