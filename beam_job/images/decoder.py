"""Decoding in a separate process with limits of time and memory: a file that exceeds a limit affects no other."""

import fcntl
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from beam_job.images import pixels
from beam_job.images.decoder_process import MOST_LINE, PATIENCE, READY, TOO_LATE
from beam_job.images.pixels import ImageError

ERRORS = {
    **pixels.ERRORS,
    "deadline_exceeded": f"Decoding took more CPU time than --decode_deadline, or {PATIENCE} times as long in all.",
    "crashed": "The process that decoded the image crashed, and so did a second one.",
}
"""Every code that an ``ImageError`` can have here, and what it means."""

_HASH = re.compile("[0-9a-f]{16}")
_STARTS = 3  # tries: where memory is short, the system may end a process that has just started
_OTHER_PROCESS_MAY_HELP = ("crashed", "out_of_memory")


class DecodersError(RuntimeError):
    """No decoder process can be started, so no image could be decoded and the job must fail."""


class UnforeseenError(Exception):
    """An unexpected exception in a decoder process: its class, text and traceback."""

    def __init__(self, kind: str, text: str, trace: str) -> None:
        super().__init__(kind, text, trace)
        self.kind = kind
        self.text = text
        self.trace = trace


class Decoded(NamedTuple):
    """What a decoder process makes of an image file."""

    array: npt.NDArray[np.uint8]  # uint8 [height of the model, width of the model, 3], RGB
    width: int  # of the source in pixels, after its EXIF orientation is applied
    height: int
    dhash: str  # of the array


class Decoder:
    """One decoder process, started when it is needed and replaced when it dies; for one thread at a time.

    Args:
      command: the program, ``decoder_process``; the descriptor for its answers is added.
      starter: starts the process in a long-lived thread: Linux ends a process when the thread that started it ends.
    """

    def __init__(self, command: Sequence[str], starter: Executor) -> None:
        self._command = command
        self._starter = starter
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: io.BufferedReader | None = None
        self._is_ready = False
        self._number = 0  # of the last request

    def decode(
        self,
        data: bytes,
        height: int,
        width: int,
        *,
        max_pixels: int,
        accept_truncated: bool,
        seconds: float,
        memory: int,
    ) -> Decoded:
        """Decodes like ``pixels.decode``, and hashes the pixels, within limits of time and memory.

        A process may die or run out of memory because of earlier images or other programs. So the image is tried a
        second time in a new process.

        Args:
          data: the file.
          height, width, max_pixels, accept_truncated: see ``pixels.decode``.
          seconds: of CPU time for each try; it hardly depends on what else the machine does. A try that takes
            ``PATIENCE`` times as long in all ends, too.
          memory: bytes, in addition to the file.

        Raises:
          ImageError: the file gives no pixels; the code is in ``ERRORS``.
          UnforeseenError: another exception occurred in the process.
          DecodersError: no process can be started.
        """
        request = {
            "height": height,
            "width": width,
            "max_pixels": max_pixels,
            "accept_truncated": accept_truncated,
            "seconds": seconds,
            "memory": memory,
        }
        try:
            return self._try(data, request)
        except ImageError as error:
            if error.code not in _OTHER_PROCESS_MAY_HELP:
                raise
        return self._try(data, request)

    def end(self) -> int:
        """Ends the process; returns its exit status, or minus the number of the signal that killed it."""
        process, self._process, self._is_ready = self._process, None, False
        if process is None:
            return 0
        process.kill()
        status = process.wait()
        for pipe in (process.stdin, self._answers):
            with suppress(OSError):  # what was not sent yet
                if pipe is not None:
                    pipe.close()
        return status

    def _try(self, data: bytes, request: dict[str, Any]) -> Decoded:
        process = self._ready()
        try:
            answer, array = self._ask(process, data, request)
        except BaseException as error:  # an interrupt, too, leaves half an answer in the pipe
            status = self.end()
            if isinstance(error, (OSError, EOFError)):
                if -status in TOO_LATE:
                    seconds = request["seconds"]
                    limit = f"{seconds:g} s of CPU time"
                    if status == -signal.SIGALRM:
                        limit = f"{PATIENCE * seconds:g} s in all, {PATIENCE} times that of CPU time"
                    raise ImageError(
                        "deadline_exceeded", f"Decoding it takes longer than the limit of {limit}."
                    ) from None
                raise ImageError("crashed", f"The process that decodes it {_end(status)}.") from None
            if isinstance(error, (ValueError, TypeError, LookupError, RecursionError)):
                raise ImageError("crashed", "The process that decodes it gave an invalid answer.") from None
            raise
        if "unexpected" in answer:
            raise UnforeseenError(answer["unexpected"], answer["message"], answer["trace"])
        if "error" in answer:
            if answer["error"] in _OTHER_PROCESS_MAY_HELP:
                self.end()
            raise ImageError(answer["error"], answer["message"])
        assert array is not None
        return Decoded(array, answer["width"], answer["height"], answer["dhash"])

    def _ask(
        self, process: subprocess.Popen[bytes], data: bytes, request: dict[str, Any]
    ) -> tuple[dict[str, Any], npt.NDArray[np.uint8] | None]:
        """Sends a request; returns a checked answer, and its pixels where it has some."""
        requests, answers = process.stdin, self._answers
        assert requests is not None
        assert answers is not None
        self._number += 1
        requests.write(json.dumps({"number": self._number, "size": len(data), **request}).encode() + b"\n")
        requests.write(data)
        requests.flush()
        line = answers.readline(MOST_LINE)
        if not line:
            raise EOFError
        answer = json.loads(line)
        if answer["number"] != self._number:
            raise ValueError("the answer to another request")
        texts = ("unexpected", "message", "trace") if "unexpected" in answer else ("error", "message")
        if "unexpected" in answer or "error" in answer:
            if not all(isinstance(answer[name], str) for name in texts) or answer.get("error", "corrupt") not in ERRORS:
                raise ValueError("no such error")
            return answer, None
        if not all(isinstance(answer[name], int) and answer[name] > 0 for name in ("width", "height")):
            raise ValueError("no such size")
        if not _HASH.fullmatch(answer["dhash"]):
            raise ValueError("no such hash")
        array = np.empty((request["height"], request["width"], 3), np.uint8)
        if answers.readinto(array.reshape(-1).data) < array.nbytes:
            raise EOFError
        return answer, array

    def _ready(self) -> subprocess.Popen[bytes]:
        """A process that waits for a request; starts one where there is none."""
        status = 0
        for _ in range(_STARTS):
            if self._process is not None and self._process.poll() is not None:  # it died at rest
                self.end()
            if self._process is None:
                self._process, self._answers = self._start()
            assert self._answers is not None
            if self._is_ready or self._answers.readline(len(READY)) == READY:
                self._is_ready = True
                return self._process
            status = self.end()
        raise DecodersError(
            f"A process for decoding images cannot be used: it {_end(status)} as it started ({self._command[0]}). "
            "Standard error may say why."
        )

    def _start(self) -> tuple[subprocess.Popen[bytes], io.BufferedReader]:
        try:
            return self._starter.submit(_started, self._command).result()
        except (OSError, RuntimeError) as error:  # the latter while this process ends
            raise DecodersError(f"No process for decoding images can be started: {error}.") from error


def _started(command: Sequence[str]) -> tuple[subprocess.Popen[bytes], io.BufferedReader]:
    """A new process, and its answers, which have a pipe of their own: whatever it prints is nothing."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(entry) or os.curdir for entry in sys.path),
        "OPENBLAS_NUM_THREADS": "1",  # numpy would start a thread for each core
    }
    reading, writing = _pipe()
    answers = os.fdopen(reading, "rb")
    try:
        process = subprocess.Popen(
            (*command, str(writing)),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(writing,),
            env=environment,
            # Ctrl-C in a terminal is for the parent alone. In another session Linux's autogroup would ignore priority.
            process_group=0,
        )
        assert process.stdin is not None
        with process.stdin as requests:
            process.stdin = os.fdopen(fcntl.fcntl(requests, fcntl.F_DUPFD_CLOEXEC, 3), "wb")
    except BaseException:
        answers.close()
        raise
    finally:
        os.close(writing)
    return process, answers


def _pipe() -> tuple[int, int]:
    """A pipe whose numbers are above 2: a host program that has closed 0 to 2 may use these again, as decoders do."""
    low = os.pipe()
    try:
        reading, writing = (fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3) for number in low)
    finally:
        for number in low:
            os.close(number)
    return reading, writing


def _end(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    why = ", as happens where the machine runs out of memory" if status == -signal.SIGKILL else ""
    return f"was killed by signal {-status} ({signal.strsignal(-status)}){why}"
