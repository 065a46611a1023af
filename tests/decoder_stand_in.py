"""A decoder process for tests: a file says in words what becomes of it."""

import ctypes
import os
import signal
from pathlib import Path

import numpy as np

from beam_job.images.decoder_process import serve
from beam_job.images.pixels import ImageError, Pixels

FINE = b"fine"


def decode(data, height, width, **_):
    what, _, rest = data.decode().partition(" ")
    if what == "wait":  # for ever, and the CPU's clock does not end it; a file or a pipe is told that it has begun
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPROF})
        told = open(rest, "a")  # noqa: SIM115
        told.write("begun\n")
        told.flush()
        while True:
            signal.pause()
    if what == "compute":  # for minutes, and no other clock than the CPU's ends it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        for _ in range(10**10):
            pass
    if what == "timers":
        left = [signal.getitimer(timer)[0] for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL)]
        return Pixels(np.zeros((height, width, 3), np.uint8), *map(int, left))
    if what == "nice":
        return Pixels(np.full((height, width, 3), os.getpriority(os.PRIO_PROCESS, 0), np.uint8), 2, 1)
    if what == "killed":
        os.kill(os.getpid(), int(rest))
    if what == "crash":
        ctypes.string_at(0)
    if what == "exit":
        os._exit(int(rest))
    if what == "once" and not os.path.exists(rest):
        Path(rest).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "take":  # so many bytes
        np.ones(int(rest), np.uint8)
    if what == "broken-for-memory":
        try:
            np.ones(1 << 40, np.uint8)
        except MemoryError as error:
            raise ImageError("corrupt", "Pillow says that of libraries which find no memory.") from error
    if what == "fault":
        raise KeyError("nobody foresaw this")
    if what == "print":
        os.write(1, b'{"number": 1}\n')
        os.write(2, b"the file's own words")
    return Pixels(np.full((height, width, 3), len(data), np.uint8), 2, 1)


if __name__ == "__main__":
    serve(decode)
