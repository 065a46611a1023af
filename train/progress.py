"""Progress of long work, on standard error: a bar on a terminal, a line every half minute in a file.

progress = Progress("features", "image", total=6000)
progress(32)
progress(64, "3 broken")
"""

import sys
import time
from typing import ClassVar

from beam_job.messages.quantity import quantity
from beam_job.terminal import streams

_SECONDS_BETWEEN_LINES = 30
_BAR = 30


def say(line: str) -> None:
    """Prints a line for people on standard error."""
    streams.say(streams.escaped(line))


class Progress:
    """Called after every step with the amount done; shows the share, the rate and the remaining time.

    Attributes:
      on_terminal: whether standard error is a terminal, which shows a bar.
    """

    on_terminal: ClassVar[bool] = False

    def __init__(self, name: str, unit: str, total: int, done: int = 0):
        """
        Args:
          name: of the work.
          unit: the noun for one of the things that are done.
          total: how many there are.
          done: how many were done before this start: they count for the share but not for the rate.
        """
        self.name, self.unit, self.total = name, unit, total
        self._first, self._start = done, time.monotonic()
        self._shown = self._start

    def __call__(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        finished = done >= self.total
        if not finished and now - self._shown < (0.1 if self.on_terminal else _SECONDS_BETWEEN_LINES):
            return
        self._shown = now
        rate = (done - self._first) / max(now - self._start, 1e-9)
        left = (self.total - done) / rate if rate else float("inf")
        share = f"{done:,}/{quantity(self.total, self.unit)}"
        text = f"{self.name} {share}, {rate:,.1f}/s, {_duration(left)} left {note}".rstrip()
        if self.on_terminal:
            filled = "#" * (_BAR * done // self.total)
            text = f"\r\033[K[{filled:<{_BAR}}] {text}"
        streams.write(sys.stderr, text if self.on_terminal and not finished else f"{text}\n")


def _duration(seconds: float) -> str:
    """``3:07`` or ``1:02:45``."""
    if seconds == float("inf"):
        return "unknown time"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
