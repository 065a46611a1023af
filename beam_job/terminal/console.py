"""Console output of a job: only important messages, unless ``--verbose`` asks for everything."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from beam_job.terminal import signals, stderr_filter, streams

_STANDARD_ERROR = 2
_CHATTY = ("apache_beam", "tensorflow", "keras")
_LAST_WORDS = 5.0  # seconds that the filter has to pass on what is left
_NARROW = 40  # columns, below which no live line is drawn


@contextmanager
def console(verbose: bool) -> Iterator[Callable[[], int] | None]:
    """Sets up logging, and determines whether a live line can be shown on standard error.

    Without ``verbose``, messages of Beam and TensorFlow are left out; their errors are not.

    Returns:
      A function that returns the columns of the terminal; ``None`` if standard error is not a terminal, or too narrow,
      or cannot clear a line.
    """
    width = None if verbose else _terminal_width()
    handler = _Handler()
    handler.setFormatter(_Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])
    if verbose:
        yield width
        return
    handler.addFilter(_matters)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _filtered_standard_error():
        yield width


def _terminal_width() -> Callable[[], int] | None:
    if not sys.stderr.isatty() or os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        return None
    terminal = os.dup(sys.stderr.fileno())  # the filter will take its place

    def width() -> int:
        try:
            return os.get_terminal_size(terminal).columns or 80  # 0: the terminal does not know
        except OSError:
            return 80

    return width if width() >= _NARROW else None


class _Handler(logging.Handler):
    """Writes to standard error as it is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        streams.say(self.format(record))


class _Formatter(logging.Formatter):
    """Messages repeat names of files and answers of servers: further lines are indented, so as not to pass for ours."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n  ".join(map(streams.escaped, super().format(record).split("\n")))


def is_sentence(error: BaseException | None) -> bool:
    """Whether an error is one of this package: a sentence for people, which needs no traceback."""
    return type(error).__module__.startswith("beam_job.")


def _matters(record: logging.LogRecord) -> bool:
    """Leaves out the libraries' own warnings, by the file they come from: some go through the root logger."""
    if not any(f"{os.sep}{name}{os.sep}" in record.pathname for name in _CHATTY):
        return True
    error = record.exc_info[1] if record.exc_info else None
    return record.levelno >= logging.ERROR and not is_sentence(error)


@contextmanager
def _filtered_standard_error() -> Iterator[None]:
    """Sends what this process, its C++ parts and its children write to standard error through ``stderr_filter``."""
    own, original = sys.stderr, sys.__stderr__
    if own is None or original is None or own is not original:  # somebody else has taken hold of it: a test, a notebook
        yield
        return
    command = [sys.executable, "-I", "-S", stderr_filter.__file__]
    try:
        # In a session of its own, as Ctrl-C in a terminal is for this process.
        child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    except OSError:
        yield
        return
    assert child.stdin is not None
    signals.passes_on_last_words(child)
    own.flush()
    saved = os.dup(_STANDARD_ERROR)
    streams.fall_back(saved)
    os.dup2(child.stdin.fileno(), _STANDARD_ERROR)
    child.stdin.close()
    try:
        yield
    finally:
        streams.finish()
        streams.fall_back(None)
        os.dup2(saved, _STANDARD_ERROR)
        os.close(saved)
        with suppress(subprocess.TimeoutExpired):  # a worker process that outlives the job still writes through it
            child.wait(_LAST_WORDS)
