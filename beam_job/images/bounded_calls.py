"""Calls that may hang for ever, such as reading from a network mount whose server is gone."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import BoundedSemaphore, Semaphore, Thread
from typing import Any, TypeVar

T = TypeVar("T")


class HangError(Exception):
    """A call that did not return in time, or found no free thread."""


class BoundedCalls:
    """Makes each call in another thread, and waits for it for a limited time.

    Python cannot stop a thread that hangs in the operating system. Such a thread is abandoned, and another one replaces
    it. It counts until it returns, and its result is dropped. The process exits without waiting for it, which a
    ``ThreadPoolExecutor`` would not allow.

    Args:
      most: maximum number of threads, including those that hang. If all of them hang, a call waits for a free one until
        its own time limit.
    """

    def __init__(self, most: int) -> None:
        self._places = BoundedSemaphore(most)
        self._idle = Semaphore(0)
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()

    def call(self, function: Callable[[], T], seconds: float) -> T:
        """Returns what ``function`` returns, or raises what it raises; raises ``HangError`` after ``seconds``."""
        deadline = time.monotonic() + seconds
        if not self._places.acquire(timeout=seconds):
            raise HangError("no thread is free, because too many are blocked")
        if not self._idle.acquire(blocking=False):
            self._start_thread()
        outcome: Future[T] = Future()
        self._jobs.put((function, outcome))
        try:
            return outcome.result(max(deadline - time.monotonic(), 0))
        except TimeoutError:
            if outcome.done():  # the error is its own, or it came just now
                return outcome.result()
            raise HangError("it hangs, and its thread was abandoned") from None

    def _start_thread(self) -> None:
        try:
            Thread(target=self._work, name="bounded-call", daemon=True).start()
        except BaseException:
            self._places.release()
            raise

    def _work(self) -> None:
        while True:
            self._run(*self._jobs.get())  # a function of its own, so that nothing is held while this thread is idle

    def _run(self, function: Callable[[], Any], outcome: "Future[Any] | None") -> None:
        assert outcome is not None
        found, error = None, None
        try:
            found = function()
        except BaseException as raised:
            error = raised
        self._idle.release()
        self._places.release()
        if error is None:
            outcome.set_result(found)
        else:
            outcome.set_exception(error)
            outcome = error = None  # breaks a cycle through the error's traceback
