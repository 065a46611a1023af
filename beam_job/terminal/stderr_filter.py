"""A filter process for standard error that hides the lines that TensorFlow's C++ code prints at every start.

These lines are printed before TensorFlow reads its log level, straight to the file descriptor, so Python cannot filter
them. This program reads standard error and passes on everything except lines that are known to be irrelevant. As a
separate process it also passes on the last output of a job that crashes.
"""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress

_SAYS_NOTHING = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|I0000 [0-9:. ]+\S+\] "  # absl's level "information"; warnings and errors start with W and E
    rb"|\d{4}-\d\d-\d\d [0-9:.]+: I "  # the same level in TensorFlow's own format
    rb"|To enable the following instructions: .* rebuild TensorFlow with the appropriate compiler flags"
    # Slower by design: a model stores half-precision weights, and computes in single precision.
    rb"|E0000 [0-9:. ]+\S*util\.cc:\d+\] oneDNN supports DT_HALF only on platforms with AVX-512"
    rb"|PTBTokenizer tokenized \d+ tokens at "  # Java's, in `train evaluate`
    # There is no NVIDIA driver: no error on a machine without a GPU, and --require_gpu says it where one is needed.
    rb"|E0000 [0-9:. ]+\S*cuda_platform\.cc:\d+\] failed call to cuInit: INTERNAL: CUDA error: .*\(303\)"
)
_CLEAR = b"\r\x1b[K"
_STANDARD_ERROR = 2


def keep(line: bytes) -> bool:
    """Whether a line is for people."""
    return _SAYS_NOTHING.match(line) is None


def filtered(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The part of the arriving bytes to pass on.

    A piece that starts with a carriage return is a live line: it is passed on at once, and cleared before the next
      line.
    """
    rest = b""
    drawn = False
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if keep(line):
                yield (_CLEAR if drawn and not line.startswith(b"\r") else b"") + line + b"\n"
                drawn = False
        if rest.startswith(b"\r"):
            yield rest
            rest, drawn = b"", True
    if rest and keep(rest):
        yield rest


def _arriving() -> Iterator[bytes]:
    while chunk := os.read(0, 1 << 16):
        yield chunk


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # what a stopped job still has to say is passed on
        signal.signal(number, signal.SIG_IGN)
    for passed in filtered(_arriving()):
        with suppress(OSError):  # nobody reads it, or the log's disk is full: the job goes on all the same
            os.write(_STANDARD_ERROR, passed)
