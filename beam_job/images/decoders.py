"""The decoder processes of this process: a fixed number, and threads take turns at them."""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import LifoQueue

from beam_job.images.decoder import Decoder
from beam_job.images.per_process import per_process

_COMMAND = (sys.executable, "-P", "-W", "ignore", "-m", "beam_job.images.decoder_process")


class Decoders:
    """A fixed number of decoder processes.

    Args:
      number: of processes. Each starts when it is first needed.
      command: the program, ``decoder_process``.
    """

    def __init__(self, number: int, command: Sequence[str] = _COMMAND) -> None:
        starter = ThreadPoolExecutor(1, thread_name_prefix="start-decoder")
        self._free: LifoQueue[Decoder] = LifoQueue()  # so that no more are started than are needed at a time
        for _ in range(number):
            self._free.put(Decoder(command, starter))

    @contextmanager
    def turn(self) -> Iterator[Decoder]:
        """Waits for a free decoder, and reserves it for the block."""
        decoder = self._free.get()
        try:
            yield decoder
        finally:
            self._free.put(decoder)


@per_process
def shared_decoders() -> Decoders:
    """The decoders of this process."""
    # One for each core, since more would share caches; at least two, so that a slow image does not stop the others.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Decoders(max(2, cores))
