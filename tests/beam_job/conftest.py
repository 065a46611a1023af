"""What tests of the job share."""

import pytest

from tests.beam_lookups import looked_up_once
from tests.photo_places import stand_in


@pytest.fixture(scope="session", autouse=True)
def _looked_up_once():
    """Hundreds of small runs take half the CPU."""
    with looked_up_once():
        yield


@pytest.fixture
def colours(monkeypatch, tmp_path_factory):
    """Jobs in this process caption colours, without TensorFlow: where it does not matter what a caption says."""
    stand_in(monkeypatch, tmp_path_factory.mktemp("captioned") / "log")
