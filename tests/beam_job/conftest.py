"""What tests of the job share. Tests of pictures alone do not wait for the import of Beam."""

import pytest


@pytest.fixture
def colours(monkeypatch, tmp_path_factory):
    """Jobs in this process caption colours, without TensorFlow: where it does not matter what a caption says."""
    from tests.photo_places import stand_in

    stand_in(monkeypatch, tmp_path_factory.mktemp("captioned") / "log")
