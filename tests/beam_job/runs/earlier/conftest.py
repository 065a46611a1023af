"""What tests of earlier runs share: a tiny model, and a stand-in for captioning that logs what it captions."""

import pytest

from tests.photo_places import stand_in
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_tiny_model(folder / "model")
    return str(folder / "model")


@pytest.fixture
def log(monkeypatch, tmp_path):
    stand_in(monkeypatch, tmp_path / "log")
    return tmp_path / "log"
