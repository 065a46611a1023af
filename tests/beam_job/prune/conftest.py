"""Eight photos, and a folder of runs that captioned them."""

import pytest

from tests.archives import archive


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    paths = [folder / f"photo{number}.jpg" for number in range(8)]
    for path in paths:
        path.write_bytes(b"x")
    return paths


@pytest.fixture
def output(tmp_path, photos):
    return archive(tmp_path / "captions", list(map(str, photos)))
