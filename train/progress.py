"""Progress of long work, on standard error: a bar on a terminal, a line every half minute in a file.

progress = Progress("features", "images", total=6000)
progress(32)
progress(64, "3 broken")
"""

import sys
import time
from typing import ClassVar

_SECONDS_BETWEEN_LINES = 30
_BAR = 30


def say(line: str) -> None:
    """Prints a line for people on standard error."""
    print(line, file=sys.stderr, flush=True)


class Progress:
    """Called after every step with the amount done; shows the share, the rate and the remaining time.

    Attributes:
      on_terminal: whether standard error is a terminal, which shows a bar.
    """

    on_terminal: ClassVar[bool] = False

    def __init__(self, name: str, unit: str, total: int, done: int = 0):
        """``done`` is the amount done before this start: it counts for the share but not for the rate."""
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
        text = f"{self.name} {done:,}/{self.total:,} {self.unit}, {rate:,.1f}/s, {_duration(left)} left {note}".rstrip()
        if self.on_terminal:
            filled = "#" * (_BAR * done // self.total)
            print(f"\r\033[K[{filled:<{_BAR}}] {text}", end="\n" if finished else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    """``3:07`` or ``1:02:45``."""
    if seconds == float("inf"):
        return "unknown time"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
