"""Progress of long work, on standard error: a bar on a terminal, a line every half minute in a file.

progress = Progress("features", "image", total=6000)
progress(32)
progress(64, "3 broken")
"""

import sys
import time
from collections.abc import Callable
from typing import ClassVar

from beam_job.messages.quantity import duration, quantity
from beam_job.terminal import streams
from beam_job.terminal.bar import CLEAR, bar, bar_characters

_SECONDS_BETWEEN_LINES = 30


def say(line: str) -> None:
    """Prints a line for people on standard error."""
    streams.say(streams.escaped(line))


class Progress:
    """Called after every step with the amount done; shows the share, the rate and the remaining time.

    Attributes:
      on_terminal: whether standard error is a terminal, which shows a bar.
    """

    on_terminal: ClassVar[bool] = False

    def __init__(
        self, name: str, unit: str, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
          name: of the work.
          unit: the noun for one of the things that are done.
          total: how many there are.
          done: how many were done before this start: they count for the share but not for the rate.
          clock: seconds.
        """
        self.name, self.unit, self.total = name, unit, total
        self._first, self._clock, self._start = done, clock, clock()
        self._shown = self._start

    def __call__(self, done: int, note: str = "") -> None:
        now = self._clock()
        finished = done >= self.total
        if not finished and now - self._shown < (0.1 if self.on_terminal else _SECONDS_BETWEEN_LINES):
            return
        self._shown = now
        rate = (done - self._first) / max(now - self._start, 1e-9)
        left = f", {duration((self.total - done) / rate)} left" if rate else ""
        text = f"{self.name} {done:,}/{quantity(self.total, self.unit)}, {rate:,.1f}/s{left} {note}".rstrip()
        if self.on_terminal:
            text = f"{CLEAR}{bar(done, self.total, bar_characters(sys.stderr))}{text}"
        streams.write(sys.stderr, text if self.on_terminal and not finished else f"{text}\n")
