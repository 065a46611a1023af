"""Images on disks and on mounts: their bytes, in bounded time and memory, or why they cannot be had."""

import itertools
import os
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from beam_job.images.download import FetchError
from beam_job.images.fetch import Fetcher, FetchLimits
from tests.answers import code_of
from tests.memory import traced

DATA = bytes(range(256)) * 400


def test_local_files(tmp_path):
    (tmp_path / "ein bild%20.jpg").write_bytes(DATA)
    fetcher = Fetcher(FetchLimits(max_bytes=len(DATA)))
    assert fetcher.fetch(f"{tmp_path}/ein bild%20.jpg") == DATA
    assert fetcher.fetch(f"file://{tmp_path}/ein%20bild%2520.jpg") == DATA
    assert code_of(fetcher, f"{tmp_path}/none.jpg") == "not_found"
    assert code_of(fetcher, f"{tmp_path}") == "not_found"
    assert code_of(fetcher, f"{tmp_path}/ein bild%20.jpg/x") == "not_found"
    assert code_of(fetcher, "x" * 5000) == "not_found"
    assert code_of(Fetcher(FetchLimits(max_bytes=len(DATA) - 1)), f"{tmp_path}/ein bild%20.jpg") == "too_large"


@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_hint_at_a_name_in_the_other_unicode_form(tmp_path, form, other):
    there, listed = (tmp_path / unicodedata.normalize(used, "Café.jpg") for used in (form, other))
    there.write_bytes(DATA)
    if listed.exists():
        pytest.skip("this disk takes both forms for one")
    with pytest.raises(FetchError, match=f"in Unicode's form {form}; list that name") as raised:
        Fetcher(FetchLimits()).fetch(str(listed))
    assert raised.value.code == "not_found"
    with pytest.raises(FetchError, match="not_found") as raised:
        Fetcher(FetchLimits()).fetch(str(tmp_path / "Cafè.jpg"))
    assert "Unicode" not in raised.value.message


def test_special_files_are_not_waited_for(monkeypatch, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert code_of(Fetcher(FetchLimits()), f"{tmp_path}/pipe.jpg") == "not_found"
    assert code_of(Fetcher(FetchLimits()), "/dev/zero") == "not_found"
    regular = os.stat(__file__)
    with monkeypatch.context() as patch:
        patch.setattr("beam_job.images.fetch.os.stat", lambda *_, **__: regular)  # as it was a moment ago
        found = code_of(Fetcher(FetchLimits()), f"{tmp_path}/pipe.jpg")
    assert found == "not_found"


def test_special_files_are_not_opened(monkeypatch, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    monkeypatch.setattr("beam_job.images.fetch._open", lambda *_: pytest.fail("opened"))
    assert code_of(Fetcher(FetchLimits()), f"{tmp_path}/pipe.jpg") == "not_found"


def test_a_file_whose_size_is_told_as_0_is_bounded_while_it_is_read():
    path = "/proc/self/smaps"
    if not os.path.exists(path):
        pytest.skip("no /proc here")
    assert os.stat(path).st_size == 0
    assert len(Fetcher(FetchLimits()).fetch(path)) > 1_000
    with pytest.raises(FetchError, match="over the limit of 10") as raised:
        Fetcher(FetchLimits(max_bytes=10)).fetch(path)
    assert raised.value.code == "too_large"


def test_a_local_file_is_held_once(tmp_path):
    size = 50_000_000
    (tmp_path / "large.jpg").write_bytes(bytes(size))
    with traced() as peak:
        assert len(Fetcher(FetchLimits(max_bytes=size)).fetch(f"{tmp_path}/large.jpg")) == size
        assert peak() < 1.2 * size


def test_a_local_file_that_trickles_ends_at_the_deadline_and_one_that_is_whole_by_then_is_whole(monkeypatch, tmp_path):
    (tmp_path / "whole.jpg").write_bytes(DATA)
    (tmp_path / "large.jpg").write_bytes(bytes(3_000_000))
    clock = itertools.count(step=100)  # each look at it is 100 s later
    monkeypatch.setattr("beam_job.images.fetch.time", SimpleNamespace(monotonic=lambda: next(clock)))
    fetcher = Fetcher(FetchLimits(seconds=60))
    assert fetcher.fetch(f"{tmp_path}/whole.jpg") == DATA
    assert code_of(fetcher, f"{tmp_path}/large.jpg") == "deadline_exceeded"


@pytest.fixture
def hung_mount(monkeypatch, tmp_path):
    """A folder whose files hang in the operating system when they are opened, until the test is over."""
    pipe, mount = tmp_path / "pipe", tmp_path / "mount"
    os.mkfifo(pipe)
    mount.mkdir()
    names = [str(mount / f"{number}.jpg") for number in range(3)]
    for name in names:
        Path(name).write_bytes(DATA)
    # Opening a pipe into which nobody writes hangs in the kernel.
    monkeypatch.setattr(
        "beam_job.images.fetch._open", lambda path, flags: os.open(pipe if path in names else path, flags)
    )
    monkeypatch.setattr("beam_job.images.fetch._PATIENCE", 0.01)
    yield names
    os.close(os.open(pipe, os.O_RDWR))


def test_a_hung_mount_costs_its_images_alone(hung_mount, monkeypatch, tmp_path):
    monkeypatch.setattr("beam_job.images.fetch._MOST_HANGING", 2)
    (tmp_path / "good.jpg").write_bytes(DATA)
    fetcher = Fetcher(FetchLimits(), threads=1)

    def given_up(uri, reason):
        monkeypatch.setattr(fetcher, "_limits", FetchLimits(seconds=0.05))
        with pytest.raises(FetchError, match=f"after the deadline of 0.05 s: {reason}") as raised:
            fetcher.fetch(uri)
        assert raised.value.code == "deadline_exceeded"
        monkeypatch.setattr(fetcher, "_limits", FetchLimits())

    for uri in hung_mount[:2]:
        given_up(uri, "it hangs")
        assert fetcher.fetch(f"{tmp_path}/good.jpg") == DATA
    given_up(hung_mount[2], "it hangs")
    given_up(f"{tmp_path}/good.jpg", "no thread is free")


def test_a_file_uri_names_any_bytes(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9 #1?.jpg"
    with open(path, "wb") as file:
        file.write(DATA)
    assert Fetcher(FetchLimits()).fetch(f"file://{quote(path)}") == DATA
    assert Fetcher(FetchLimits()).fetch(f"file://localhost{quote(path)}") == DATA


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(DATA)
    (tmp_path / "a.jpg").chmod(0)
    assert code_of(Fetcher(FetchLimits()), f"{tmp_path}/a.jpg") == "permission_denied"
