"""A worker sends its results in small portions, through Beam's own data channel."""

import pytest
from apache_beam.runners.worker import data_plane

from beam_job.runs.earlier.packed import _Pack
from beam_job.runs.earlier.portions import send_in_small_portions
from beam_job.runs.earlier.take import _Take
from benchmarks.send_buffer import arrived

RESULTS = 100_000  # some megabytes


@pytest.fixture
def beams_own(monkeypatch):
    """Beam's own buffer, whatever earlier tests made of it; as it was again after the test."""
    buffer = data_plane.SizeBasedBufferingClosableOutputStream

    def maybe_flush(self):
        if self.size() > self._size_flush_threshold:
            self.flush()

    monkeypatch.setattr(buffer, "maybe_flush", maybe_flush)


@pytest.mark.parametrize("step", [_Pack(), _Take(recheck=False)], ids=["pack", "take"])
def test_steps_with_many_results_send_them_in_small_portions(beams_own, step):
    whole, portions, broken = arrived(RESULTS, 0)
    assert (whole, portions, broken) == (RESULTS, 1, 0)
    step.setup()
    whole, portions, broken = arrived(RESULTS, 0)
    assert (whole, broken) == (RESULTS, 0)
    assert portions > 4


def test_a_beam_without_this_class_works_as_it_is(monkeypatch):
    monkeypatch.delattr(data_plane, "SizeBasedBufferingClosableOutputStream")
    send_in_small_portions()
