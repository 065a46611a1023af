"""What tests of fetching share."""

from types import SimpleNamespace

import pytest

NEVER = 10**6  # seconds that no test waits


@pytest.fixture
def one_try(monkeypatch):
    """The first wait would pass any deadline."""
    monkeypatch.setattr("beam_job.images.download.random", SimpleNamespace(uniform=lambda *_: NEVER))
