"""Ctrl-C and SIGTERM: finished captions are written, and the process ends, whatever its threads are doing.

    signals.listen("interrupted: the same command resumes.")
    signals.on_stop(write_open_shards)

Python itself would raise KeyboardInterrupt in the main thread when it next runs Python code there: in the middle of a
  computation, of a download, or of Beam, which wraps it. Here a separate thread ends the process, and nothing is
  raised. Only programs call ``listen``: the package does not handle signals when it is used as a library.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from beam_job.terminal import streams

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS = 2.0  # for what is open to be written, and for child processes to end
_ONE_PRESS = 0.05  # seconds: `timeout` and others send a signal to the process and to its group
_LAST_WORDS = 1.0  # seconds for the filter of standard error to pass on what is left
_STANDARD_ERROR = 2


@dataclass
class _Stop:
    """How this process would stop."""

    listening: bool = False
    sentence: str | None = None
    steps: list[Callable[[], None]] = field(default_factory=list)
    filter: subprocess.Popen[bytes] | None = None
    begun: threading.Event = field(default_factory=threading.Event)


_stop = _Stop()


def listen(sentence: str | None = None) -> None:
    """Makes Ctrl-C, SIGTERM and SIGHUP stop this process, with 128 plus the signal's number as its status.

    Call it once, in the main thread. A signal that the process was started to ignore (``nohup``) stays ignored.

    Args:
      sentence: the last message. A process without one is a worker: a second signal does not end it at once, because
        the first may have come from the terminal and the second from the process that started it.
    """
    _stop.listening, _stop.sentence = True, sentence
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.detach(), warn_on_full_buffer=False)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # the interpreter writes the signal's number to the socket
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_forget)
    threading.Thread(target=_watch, args=(reading,), name="signals", daemon=True).start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    import psutil  # noqa: F401 - not when the process is stopped: a thread that hangs in an import would be waited for


def on_stop(step: Callable[[], None]) -> None:
    """Adds an action before a stopped process ends, limited to ``SECONDS``; its errors are printed."""
    _stop.steps.append(step)


def say_on_stop(sentence: str) -> None:
    """Replaces the last message."""
    _stop.sentence = sentence


def passes_on_last_words(child: subprocess.Popen[bytes]) -> None:
    """Names the child process that ends by itself, after the last words."""
    _stop.filter = child


def wait_if_stopping() -> None:
    """Does not return while the process is being stopped, so that the caller prints nothing more."""
    if _stop.begun.is_set():
        threading.Event().wait()


def _watch(reading: socket.socket) -> None:
    number = reading.recv(1)[0]
    at = time.monotonic()
    _stop.begun.set()
    threading.Thread(target=_end, args=(number,), name="stop", daemon=True).start()
    reading.settimeout(SECONDS + _LAST_WORDS + 1.0)
    with suppress(TimeoutError):  # the process was told to end, and ends
        while reading.recv(1):
            if _stop.sentence is not None and time.monotonic() - at > _ONE_PRESS:
                break
    _kill(_children())
    os._exit(128 + number)


def _end(number: int) -> None:
    try:
        _finish()
    finally:
        os._exit(128 + number)


def _finish() -> None:
    deadline = time.monotonic() + SECONDS
    own = os.dup(_STANDARD_ERROR)
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STANDARD_ERROR)  # what other threads still say is about being stopped
    problems: list[str] = []
    last = [threading.Thread(target=_try, args=(step, problems), daemon=True) for step in (*_stop.steps, _flush_output)]
    for step in last:
        step.start()
    children = _children()
    for child in children:
        with suppress(Exception):  # it has ended
            child.terminate()
    for step in last:
        step.join(max(0.0, deadline - time.monotonic()))
    if any(step.is_alive() for step in last):
        problems.append(f"not everything could be finished within {SECONDS:.0f} s: captions may be missing.")
    _kill([child for child in children if not _in_this_session(child)])
    _wait(children, deadline)
    _kill(_children())
    if _stop.sentence is not None:
        said = (streams.escaped(line) for line in (_stop.sentence, *problems))
        streams.last_words(own, "".join(f"beam_job: {line}\n" for line in said))
    os.close(own)
    if _stop.filter is not None:
        with suppress(subprocess.TimeoutExpired):
            _stop.filter.wait(_LAST_WORDS)


def _try(step: Callable[[], None], problems: list[str]) -> None:
    try:
        step()
    except Exception as error:  # file systems raise what they like
        problems.append(str(error))


def _flush_output() -> None:
    if sys.stdout is not None:
        with suppress(OSError, ValueError):
            sys.stdout.flush()


def _children() -> list[Any]:
    """The processes that this one and its children have started, as ``psutil.Process``, but for the filter."""
    import psutil  # only here: most processes are never stopped

    spared = None if _stop.filter is None else _stop.filter.pid
    with suppress(psutil.Error):
        return [child for child in psutil.Process().children(recursive=True) if child.pid != spared]
    return []


def _in_this_session(child: Any) -> bool:
    """A process in a session of its own is kept from signals, and waits for this one's end."""
    try:
        return os.getsid(child.pid) == os.getsid(0)
    except OSError:  # it has ended
        return False


def _wait(children: list[Any], deadline: float) -> None:
    import psutil

    psutil.wait_procs(children, max(0.0, deadline - time.monotonic()))


def _kill(children: list[Any]) -> None:
    for child in children:
        with suppress(Exception):  # it has ended
            child.kill()


_fork = threading.local()


def _before_fork() -> None:
    """A signal for the new process must not be written to the socket that it shares with this one."""
    _fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _after_fork() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _fork.mask)


def _forget() -> None:
    """In a process forked from this one, which has no thread that watches, signals do what they do by default."""
    signal.set_wakeup_fd(-1)
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    _after_fork()
