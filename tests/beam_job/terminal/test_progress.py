import io
import itertools
import os
import re
import threading

from hypothesis import given
from hypothesis import strategies as st

from beam_job.metrics import CAPTIONS, FAILURES, TO_CAPTION, count
from beam_job.terminal.progress import Counts, Progress, intervals, progress


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_line_says_what_is_known():
    clock, counts = Clock(), {}
    reader = Progress(lambda: counts, clock)
    assert reader.text() == "reading the list of images, 0 s so far"
    assert reader.bar() == ""
    counts[TO_CAPTION] = 2000
    clock.now += 5
    assert reader.text() == "2,000 images to caption: loading the model, 5 s so far"
    counts[CAPTIONS] = 32
    assert reader.text() == "32 of 2,000 captioned"  # no rate from one look
    clock.now += 10
    counts.update({CAPTIONS: 532, FAILURES: 2})
    assert reader.text() == "532 of 2,000 captioned, 2 failed, 50 images/s, 29 s left"
    assert reader.bar().count("━") == 24 * 534 // 2000
    clock.now += 1000
    counts.update({CAPTIONS: 1998})
    reader.text()
    assert reader.text().startswith("1,998 of 2,000 captioned, 2 failed")
    assert "left" not in reader.text()
    assert "·" not in reader.bar()


def test_the_rate_is_that_of_the_last_half_minute():
    clock, counts = Clock(), {CAPTIONS: 1}
    reader = Progress(lambda: counts, clock)
    for _ in range(100):
        clock.now += 1
        counts[CAPTIONS] += 1
        reader.text()
    for _ in range(100):
        clock.now += 1
        counts[CAPTIONS] += 5
        text = reader.text()
    assert text == "601 captioned, 5.0 images/s"  # the total is unknown


def test_the_lines_of_a_log_grow_apart():
    assert list(itertools.islice(intervals(), 9)) == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_counts_are_this_runs_own(tmp_path):
    count(CAPTIONS)
    counts = Counts(str(tmp_path))
    count(TO_CAPTION)
    count(TO_CAPTION)
    count(CAPTIONS)
    assert (counts()[TO_CAPTION], counts()[CAPTIONS]) == (2, 1)


def test_counts_come_from_files_where_workers_are_processes_of_their_own(tmp_path):
    counts = Counts(str(tmp_path))
    assert counts()[CAPTIONS] == 0
    (tmp_path / "captions-a.jsonl").write_text("{}\n{}\n")
    assert counts()[CAPTIONS] == 2
    (tmp_path / "captions-b.jsonl").write_text("{}\n")
    (tmp_path / "failures-b.jsonl").write_text("{}\n")
    assert (counts()[CAPTIONS], counts()[FAILURES]) == (3, 1)


class Screen(io.StringIO):
    """Where a line is drawn; says when it was."""

    encoding = "utf-8"

    def __init__(self):
        super().__init__()
        self.drawn = threading.Event()

    def write(self, text):
        super().write(text)
        self.drawn.set()


def test_a_terminal_gets_a_live_line_that_leaves_nothing(tmp_path):
    screen = Screen()
    with progress(str(tmp_path), width=lambda: 80, stream=screen, redraw=0.01):
        assert screen.drawn.wait(60)
    assert screen.getvalue().startswith("\r\x1b[Kreading the list")
    assert screen.getvalue().endswith("\r\x1b[K")
    assert "\n" not in screen.getvalue()


def test_a_short_run_leaves_nothing_in_a_log(tmp_path):
    screen = Screen()
    with progress(str(tmp_path), width=None, stream=screen):
        pass
    assert screen.getvalue() == ""


class Flushed(io.TextIOWrapper):
    """Says when it has been flushed twice."""

    def __init__(self, raw):
        super().__init__(raw)
        self.times = 0
        self.twice = threading.Event()

    def flush(self):
        try:
            super().flush()
        finally:
            self.times += 1
            if self.times == 2:
                self.twice.set()


def test_nobody_reads_the_progress_and_the_run_goes_on(tmp_path):
    ours, theirs = os.pipe()
    os.close(ours)
    with (
        Flushed(os.fdopen(theirs, "wb")) as closed,
        progress(str(tmp_path), width=lambda: 80, stream=closed, redraw=0.01),
    ):
        assert closed.twice.wait(60)


def test_a_log_gets_plain_lines(tmp_path, monkeypatch):
    monkeypatch.setattr("beam_job.terminal.progress.intervals", lambda: itertools.repeat(0.01))
    log = Screen()
    with progress(str(tmp_path), width=None, stream=log):
        assert log.drawn.wait(60)
    assert re.fullmatch(r"(beam_job: reading the list of images, \d+ s so far\n)+", log.getvalue())


@given(st.integers(1, 300), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6))
def test_the_line_fits_the_terminal(width, total, captioned, failed, seconds):
    clock, counts = Clock(), {TO_CAPTION: total, CAPTIONS: 1}
    reader = Progress(lambda: counts, clock)
    assert len(reader.live(width)) <= width
    clock.now += seconds
    counts.update({CAPTIONS: captioned, FAILURES: failed})
    assert len(reader.live(width)) <= width


def test_a_narrow_terminal_gets_the_first_parts():
    clock, counts = Clock(), {TO_CAPTION: 2000, CAPTIONS: 32}
    reader = Progress(lambda: counts, clock)
    whole = "32 of 2,000 captioned"
    assert reader.live(46) == f"{'·' * 24} {whole}"
    assert reader.live(45) == reader.live(21) == whole
    assert reader.live(20) == whole[:20]
    counts[FAILURES] = 5
    assert reader.live(31) == whole + ", 5 failed"
    assert reader.live(30) == whole


def test_a_bar_of_letters_that_the_encoding_has(tmp_path):
    screen = Screen()
    screen.encoding = "ascii"
    counts = Counts(str(tmp_path))
    count(TO_CAPTION)
    assert counts()[TO_CAPTION] == 1
    with progress(str(tmp_path), width=lambda: 80, stream=screen, redraw=0.01):
        count(TO_CAPTION)
        screen.drawn.clear()
        assert screen.drawn.wait(60)
        screen.drawn.clear()
        assert screen.drawn.wait(60)
    assert f"\r\x1b[K{'.' * 24} 1 image to caption" in screen.getvalue()
