"""What tests of the job share. Tests of pictures alone do not wait for the import of Beam."""

import sys

import pytest


@pytest.fixture(scope="session", autouse=True)
def _looked_up_once():
    """Hundreds of small runs take half the CPU."""
    if "apache_beam" not in sys.modules:
        yield
        return
    from tests.beam_lookups import looked_up_once

    with looked_up_once():
        yield


@pytest.fixture
def colours(monkeypatch, tmp_path_factory):
    """Jobs in this process caption colours, without TensorFlow: where it does not matter what a caption says."""
    from tests.photo_places import stand_in

    stand_in(monkeypatch, tmp_path_factory.mktemp("captioned") / "log")
