"""The progress of long work: a line now and then in a log, a bar on a terminal."""

import pytest

from train.progress import Progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_log_has_a_line_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = Progress("features", "image", 2000, done=200, clock=clock)
    progress(232)
    clock.now += 40
    progress(1000, "3 broken")
    clock.now += 10
    progress(1100)
    progress(2000)
    assert capsys.readouterr().err.splitlines() == [
        "features 1,000/2,000 images, 20.0/s, 50 s left 3 broken",
        "features 2,000/2,000 images, 36.0/s, 0 s left",
    ]


def test_a_terminal_has_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Progress, "on_terminal", True)
    clock = Clock()
    progress = Progress("training", "step", 4, clock=clock)
    clock.now += 2
    progress(2)
    told = capsys.readouterr().err
    assert told.startswith("\r\x1b[K")
    assert told[4:].startswith("━" * 12 + "·" * 12 + " training 2/4 steps, 1.0/s, 2 s left")
