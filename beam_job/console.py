"""What the command line shows while a job runs: what matters, unless ``--verbose`` asks for everything."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from beam_job import chatter

_STANDARD_ERROR = 2
_CHATTY = ("apache_beam", "tensorflow", "keras")
_LAST_WORDS = 5.0  # seconds that the filter has to pass on what is left


@contextmanager
def console(verbose: bool) -> Iterator[bool]:
    """Sets logging up and says whether standard error is a terminal, where a live line can be drawn.

    Without ``verbose``, the chatter of Beam and TensorFlow is left out; their errors are not.
    """
    terminal = sys.stderr.isatty() and not verbose
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])
    if verbose:
        yield terminal
        return
    handler.addFilter(_matters)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _filtered_standard_error():
        yield terminal


def _matters(record: logging.LogRecord) -> bool:
    """Leaves out the libraries' own warnings, by the file they come from: some go through the root logger."""
    return record.levelno >= logging.ERROR or not any(f"{os.sep}{name}{os.sep}" in record.pathname for name in _CHATTY)


@contextmanager
def _filtered_standard_error() -> Iterator[None]:
    """Sends what this process, its C++ parts and its children write to standard error through ``chatter``."""
    own, original = sys.stderr, sys.__stderr__
    if own is None or original is None or own is not original:  # somebody else has taken hold of it: a test, a notebook
        yield
        return
    command = [sys.executable, "-I", "-S", chatter.__file__]
    try:
        child = subprocess.Popen(command, stdin=subprocess.PIPE)
    except OSError:
        yield
        return
    assert child.stdin is not None
    own.flush()
    saved = os.dup(_STANDARD_ERROR)
    os.dup2(child.stdin.fileno(), _STANDARD_ERROR)
    child.stdin.close()
    try:
        yield
    finally:
        own.flush()
        os.dup2(saved, _STANDARD_ERROR)
        os.close(saved)
        with suppress(subprocess.TimeoutExpired):  # a worker process that outlives the job still writes through it
            child.wait(_LAST_WORDS)
