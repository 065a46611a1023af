import io
import itertools
import time

import pytest

from beam_job.counters import CAPTIONS, FAILURES, TO_CAPTION, count
from beam_job.progress import Counts, Progress, intervals, progress


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


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_gets_a_live_line_and_a_short_run_leaves_nothing_in_a_log(tmp_path, terminal):
    out = io.StringIO()
    with progress(str(tmp_path), terminal=terminal, stream=out):
        time.sleep(1.2)
    assert out.getvalue().count("\n") == 0
    assert out.getvalue().endswith("\r\x1b[K") == terminal
    assert ("reading the list" in out.getvalue()) == terminal
