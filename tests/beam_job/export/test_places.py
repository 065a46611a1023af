"""Sidecars on disks: links, permissions, other accounts, and other programs at the same moment."""

import json
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from beam_job.export.xmp.places import ADOBE, FULL, Disk, Found, PlaceError, photo_path, sidecar_path

NOBODY = 65534
AS_NOBODY = f"""
import json, os, sys
from beam_job.export.xmp.places import Disk, Found, PlaceError
os.setgroups([]); os.setegid({NOBODY}); os.seteuid({NOBODY})
def code(function, *arguments):
    try:
        return str(function(*arguments))
    except PlaceError as error:
        return error.code
folder, disk = sys.argv[1], Disk()
print(json.dumps([
    code(disk.read, f"{{folder}}/closed.xmp"),
    code(disk.write, f"{{folder}}/new.xmp", b"new", None),
    code(disk.write, f"{{folder}}/theirs.xmp", b"new", Found(b"old", None)),
    code(disk.delete, f"{{folder}}/theirs.xmp", Found(b"old", None)),
]))
"""


@pytest.mark.parametrize(
    ("uri", "adobe", "full"),
    [
        ("/photos/a.jpg", "/photos/a.xmp", "/photos/a.jpg.xmp"),
        ("/photos.d/a", "/photos.d/a.xmp", "/photos.d/a.xmp"),
        ("/photos//b/../a.b.jpg", "/photos/a.b.xmp", "/photos/a.b.jpg.xmp"),
        ("file:///photos/a%20b.jpg", "/photos/a b.xmp", "/photos/a b.jpg.xmp"),
        ("gs://bucket/a//b.jpg", "gs://bucket/a//b.xmp", "gs://bucket/a//b.jpg.xmp"),
        ("/photos/.jpg", "/photos/.jpg.xmp", "/photos/.jpg.xmp"),
    ],
)
def test_names_of_sidecars(uri, adobe, full):
    photo = photo_path(uri)
    assert (sidecar_path(photo, ADOBE), sidecar_path(photo, FULL)) == (adobe, full)


def test_what_has_no_place_for_a_sidecar():
    assert photo_path("https://example.org/a.jpg") is None
    for uri in ("", "a\0.jpg", "file://host/a.jpg", "file:///a%00.jpg"):
        with pytest.raises(PlaceError) as caught:
            photo_path(uri)
        assert caught.value.code == "bad_uri"


def test_a_file_that_others_change_meanwhile_is_left_alone(tmp_path):
    path = tmp_path / "a.xmp"
    disk = Disk()
    assert disk.read(str(path)) is None
    path.write_bytes(b"theirs")
    for action in (
        lambda: disk.write(str(path), b"ours", None),
        lambda: disk.write(str(path), b"ours", Found(b"before", None)),
        lambda: disk.delete(str(path), Found(b"before", None)),
    ):
        with pytest.raises(PlaceError) as caught:
            action()
        assert caught.value.code == "changed_meanwhile"
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("a.xmp", b"theirs")]


def test_where_there_are_no_hard_links(tmp_path, monkeypatch):
    """As on memory cards and some network drives."""

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    disk = Disk()
    disk.write(str(tmp_path / "a.xmp"), b"ours", None)
    with pytest.raises(PlaceError) as caught:
        disk.write(str(tmp_path / "a.xmp"), b"again", None)
    assert caught.value.code == "changed_meanwhile"
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("a.xmp", b"ours")]


def test_permissions_and_owner_stay(tmp_path):
    path = tmp_path / "a.xmp"
    path.write_bytes(b"old")
    path.chmod(0o640)
    if os.geteuid() == 0:
        shutil.chown(path, NOBODY)
    before = path.stat()
    Disk().write(str(path), b"new", Found(b"old", None))
    after = path.stat()
    assert (path.read_bytes(), stat.S_IMODE(after.st_mode), after.st_uid) == (b"new", 0o640, before.st_uid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_this_account_may_not_do(python):
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "closed.xmp").write_bytes(b"old")
        (folder / "closed.xmp").chmod(0o600)
        (folder / "theirs.xmp").write_bytes(b"old")
        done = subprocess.run([python, "-c", AS_NOBODY, name], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == ["permission_denied"] * 4
        assert sorted(path.name for path in folder.iterdir()) == ["closed.xmp", "theirs.xmp"]
        assert (folder / "theirs.xmp").read_bytes() == b"old"
