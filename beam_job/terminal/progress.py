"""Progress of a local run: one live line on a terminal, plain lines at growing intervals in a log."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import TextIO

from apache_beam.io.filesystems import FileSystems

from beam_job.files.in_folder import files_in
from beam_job.messages.quantity import duration, quantity
from beam_job.metrics import CAPTIONS, FAILURES, TO_CAPTION, counted
from beam_job.terminal import streams
from beam_job.terminal.bar import CLEAR, bar, bar_characters

_REDRAW = 0.5  # seconds
_WINDOW = 30.0  # seconds, over which the rate is measured
_FIRST_LINE, _LAST_INTERVAL = 10.0, 600.0  # seconds between two lines of a log: doubled each time up to the second


class Counts:
    """The counts of this run: from this process, or from the run's files if workers are separate processes."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._before = counted()
        self._files: dict[str, int] = {}

    def __call__(self) -> dict[str, int]:
        counts = {name: number - self._before.get(name, 0) for name, number in counted().items()}
        if not counts.get(TO_CAPTION) and "://" not in self._directory:
            counts.update({kind: self._in_files(kind) for kind in (CAPTIONS, FAILURES)})
        return counts

    def _in_files(self, kind: str) -> int:
        for path in files_in(self._directory, f"{kind}-*.jsonl"):
            if path not in self._files:
                with suppress(OSError), FileSystems.open(path) as file:  # what a retry left may be deleted meanwhile
                    self._files[path] = sum(1 for _ in iter(file.readline, b""))
        return sum(records for path, records in self._files.items() if FileSystems.split(path)[1].startswith(kind))


class Progress:
    """Turns counts into lines.

    Args:
      counts: returns how many images are to be captioned (if known), were captioned, have failed.
      clock: in seconds.
    """

    def __init__(self, counts: Callable[[], Mapping[str, int]], clock: Callable[[], float] = time.monotonic) -> None:
        self._counts = counts
        self._clock = clock
        self._started = clock()
        self._seen: deque[tuple[float, int]] = deque()

    def text(self, width: int | None = None) -> str:
        """One line: images captioned and failed, rate, time remaining; each if it is known and fits the width."""
        counts = self._counts()
        total, failed = counts.get(TO_CAPTION, 0), counts.get(FAILURES, 0)
        captioned = counts.get(CAPTIONS, 0)
        done = captioned + failed
        if not done:
            known = f"{quantity(total, 'image')} to caption: loading the model"
            doing = known if total else "reading the list of images"
            return _fitting([doing, f"{duration(self._clock() - self._started)} so far"], width)
        rate = self._rate(done)
        parts = [f"{captioned:,} of {total:,} captioned" if total else f"{captioned:,} captioned"]
        parts += [f"{failed:,} failed"] if failed else []
        parts += [f"{rate:.1f} images/s" if rate < 10 else f"{rate:,.0f} images/s"] if rate else []
        parts += [f"{duration((total - done) / rate)} left"] if rate and total > done else []
        return _fitting(parts, width)

    def live(self, width: int, characters: str = "━·") -> str:
        """The line for a terminal of so many columns: a bar where there is room, and the text."""
        drawn, text = self.bar(characters), self.text(width)
        return drawn + text if len(drawn) + len(text) <= width else text

    def bar(self, characters: str = "━·") -> str:
        """A bar; empty while the total is unknown."""
        counts = self._counts()
        total = counts.get(TO_CAPTION, 0)
        return bar(counts.get(CAPTIONS, 0) + counts.get(FAILURES, 0), total, characters) if total else ""

    def _rate(self, done: int) -> float:
        """Images a second, over the last half minute."""
        now = self._clock()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[0][0] < now - _WINDOW:
            self._seen.popleft()
        then, before = self._seen[0]
        return (done - before) / (now - then) if now > then else 0.0


@contextmanager
def progress(
    directory: str, *, width: Callable[[], int] | None, stream: TextIO | None = None, redraw: float = _REDRAW
) -> Iterator[None]:
    """Shows the progress of the run in ``directory`` while the block runs.

    Args:
      width: returns the columns of the terminal, on which one live line is drawn; ``None`` writes plain lines at
        growing intervals.
      stream: standard error by default.
      redraw: seconds between two updates of the live line.
    """
    out = stream or sys.stderr
    reader = Progress(Counts(directory))
    ended = threading.Event()

    def draw(width: Callable[[], int]) -> None:
        characters = bar_characters(out)
        while not ended.wait(redraw):
            streams.write(out, f"{CLEAR}{reader.live(width() - 1, characters)}")  # the last column would break the line

    def log() -> None:
        for interval in intervals():
            if ended.wait(interval):
                return
            streams.write(out, f"beam_job: {reader.text()}\n")

    show = log if width is None else partial(draw, width)
    thread = threading.Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if width is not None:
            streams.write(out, CLEAR)


def intervals() -> Iterator[float]:
    """Seconds between the lines of a log; they grow during a long run."""
    interval = _FIRST_LINE
    while True:
        yield interval
        interval = min(2 * interval, _LAST_INTERVAL)


def _fitting(parts: list[str], width: int | None) -> str:
    """The first parts that fit into the width; the first one is cut where it alone does not."""
    while width is not None and len(parts) > 1 and len(", ".join(parts)) > width:
        parts = parts[:-1]
    return ", ".join(parts)[:width]
