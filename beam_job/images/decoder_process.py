"""The program of a decoder process: it reads image files from standard input, one at a time, and answers with pixels.

``decoder`` starts it as ``python -m beam_job.images.decoder_process N``. It answers in the pipe with the descriptor N:
on standard output Python may print before this program begins, as a ``sitecustomize`` can. Decoders are C code that
processes untrusted files. In a separate process decoding can have limits of time and memory, and may crash; the kernel
enforces the limits, whatever the code does. Only modules that load quickly are imported.

A request is a line of JSON, then the file's bytes: ``{"number", "size", "height", "width", "max_pixels",
"accept_truncated", "seconds", "memory"}``. A response is a line of JSON with the request's number and one of:
``width``, ``height`` of the source and the pixels' ``dhash``, then the pixels (uint8, row by row); ``error``,
``message`` of an ``ImageError``; ``unexpected`` (a class), ``message``, ``trace`` of any other exception.
"""

import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from PIL import AvifImagePlugin

from beam_job.images.pixels import ImageError, Pixels, decode
from beam_job.images.pixels.dhash import difference_hash
from beam_job.messages.unforeseen import trace_of

READY = b"ready\n"
MOST_LINE = 1 << 17  # bytes of an answer's line; JSON writes a character as up to twelve

TOO_LATE = (signal.SIGPROF, signal.SIGALRM)
"""The signals that end a process at its deadlines."""
PATIENCE = 100
"""The limit of all time, as a multiple of that of CPU time. It ends a process that hangs; one that works gets, at the
lowest priority, a seventieth of a core that another program keeps busy."""

_MOST_TEXT = 3_000  # characters of a message
_TIMERS = (signal.ITIMER_PROF, signal.ITIMER_REAL)
_LONGEST = 1e9  # seconds; a timer takes no infinity
_LOWEST_PRIORITY = 19
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_LINUX = sys.platform == "linux"
_OUT_OF_MEMORY = "Decoding it needs more memory than the limit of {:,} bytes."

if _LINUX:
    _error_number = ctypes.CDLL(None)["__errno_location"]  # C's errno, of this thread
    _error_number.restype = ctypes.POINTER(ctypes.c_int)


def serve(decode: Callable[..., Pixels] = decode) -> None:
    """Answers requests until standard input ends, which happens when the process at its other end exits."""
    requests, answers = _own_pipes()
    _prepare()
    base = _address_space()
    answers.write(READY)
    answers.flush()
    while line := requests.readline():
        request = json.loads(line)
        number, size, memory = request.pop("number"), request.pop("size"), request["memory"]
        data = requests.read(size)
        if len(data) < size:
            return
        answer, pixels = _answer(decode, data, base + size + memory, **request)
        answers.write(json.dumps({"number": number, **answer}).encode() + b"\n")
        answers.write(pixels)
        answers.flush()


def _answer(
    decode: Callable[..., Pixels], data: bytes, address_space: int, *, seconds: float, memory: int, **request: Any
) -> tuple[dict[str, Any], bytes]:
    out_of_memory = {"error": "out_of_memory", "message": _OUT_OF_MEMORY.format(memory)}, b""
    _forget_errors()
    try:
        with _limits(seconds, address_space):
            found = decode(data, **request)
            dhash = difference_hash(found.array)
    except MemoryError:
        return out_of_memory
    except ImageError as error:
        if _memory_ran_out():
            return out_of_memory
        return {"error": error.code, "message": error.message[:_MOST_TEXT]}, b""
    except Exception as error:
        if _memory_ran_out():
            return out_of_memory
        message = str(error)[:_MOST_TEXT]
        return {"unexpected": type(error).__name__, "message": message, "trace": trace_of(error)}, b""
    return {"width": found.width, "height": found.height, "dhash": dhash}, found.array.tobytes()


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Requests and answers.

    What a library prints, which may be a file's own words, must not get onto a terminal. And whoever reads the job's
    standard error must not wait for its end at this process.
    """
    requests = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)  # not 2, which may be free
    pipes = os.fdopen(requests, "rb"), os.fdopen(int(sys.argv[-1]), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for taken in range(3):
        os.dup2(nowhere, taken)
    return pipes


def _prepare() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the parent decides, and its end is this process's end
    for timer in _TIMERS:
        signal.setitimer(timer, 0)  # a profiler may have set one
    for number in TOO_LATE:
        signal.signal(number, signal.SIG_DFL)  # kills; whoever started the job may have had it ignored
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TOO_LATE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would be as large as the memory
    # There is a process for each core, and a thread's stack counts as memory.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.options.DECODE_THREADS = 1
    _give_way()
    if _LINUX:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")  # where the machine runs out of memory, an image is lost rather than the model


def _give_way() -> None:
    """Lets the model's threads go first: those that share an operation wait for the slowest of them.

    There is time to decode while the model leaves a core idle, and while it waits for images.
    """
    with suppress(OSError):  # some sandboxes forbid it
        os.setpriority(os.PRIO_PROCESS, 0, _LOWEST_PRIORITY)


@contextmanager
def _limits(seconds: float, address_space: int) -> Iterator[None]:
    """The process is killed after so many seconds of CPU time, or ``PATIENCE`` times as many in all, and gets no more
    memory than that.

    CPU time hardly depends on what else the machine does. On macOS there is no limit of memory.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = min(address_space, sys.maxsize if soft == resource.RLIM_INFINITY else soft)
    signal.setitimer(signal.ITIMER_PROF, min(seconds, _LONGEST))
    signal.setitimer(signal.ITIMER_REAL, min(PATIENCE * seconds, _LONGEST))
    try:
        if _LINUX:
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        yield
    finally:
        for timer in _TIMERS:
            signal.setitimer(timer, 0)
        if _LINUX:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int:
    """What this process has of it now, in bytes; 0 where the system does not say, and the program counts, too."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _forget_errors() -> None:
    if _LINUX:
        _error_number()[0] = 0


def _memory_ran_out() -> bool:
    """Whether the last call of the system that failed did so for memory: libraries call that a broken file."""
    return _LINUX and _error_number()[0] == errno.ENOMEM


if __name__ == "__main__":
    serve()
