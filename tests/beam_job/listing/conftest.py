"""What tests of globs share."""

import pytest


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Makes files, relative to the folder that the test works in; names of folders end in a slash."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if name.endswith("/") else path.write_bytes(b"x")
        return tmp_path

    return make
