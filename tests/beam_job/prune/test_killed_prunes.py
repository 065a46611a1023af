"""Prunes that are killed at any moment: readers find the folder as it was before, or as it is after."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from beam_job.prune.command import main
from beam_job.runs.current import caption_files
from beam_job.runs.record_file import RecordFile, ReplacedError
from tests.archives import KILLED, archive, check_books, named, traces, view, without
from tests.processes import ROOT


class KilledError(BaseException):
    """In place of a signal that nobody can catch."""


class Disk:
    """Counts what changes the names of files; from the n-th change on nothing is changed any more.

    ``look`` is called before each change.
    """

    def __init__(self, monkeypatch, last=10**9, look=lambda: None):
        self.changes = 0
        for name in ("replace", "remove"):
            monkeypatch.setattr(os, name, self._counted(getattr(os, name), last, look))

    def _counted(self, change, last, look):
        def counted(*args):
            if self.changes < last:
                look()
            self.changes += 1
            if self.changes > last:
                raise KilledError
            return change(*args)

        return counted


@pytest.fixture
def uris(tmp_path):
    (tmp_path / "photos").mkdir()
    paths = [tmp_path / "photos" / f"photo{number}.jpg" for number in range(6)]
    for path in paths:
        path.write_bytes(b"x")
    return [str(path) for path in paths]


@pytest.mark.parametrize("chosen", [(0, 5), pytest.param((0, 1, 2, 3, 4, 5), marks=pytest.mark.slow)])
def test_a_prune_killed_at_any_change_leaves_the_folder_as_before_or_after_and_the_next_one_ends_it(
    tmp_path, monkeypatch, uris, chosen
):
    gone = [uris[number] for number in chosen]
    made = archive(tmp_path / "made", uris)
    states = [view(made), without(view(made), gone)]
    output = tmp_path / "captions"
    arguments = [str(output), "--uris", str(named(tmp_path, gone)), "--killed", KILLED, "--delete"]
    seen = []
    for last in range(200):
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(made, output)
        with monkeypatch.context() as patches:
            disk = Disk(patches, last)
            with suppress(KilledError):
                main(arguments)
        seen.append(states.index(view(output)))
        check_books(output)
        for path in output.rglob("*.tmp"):
            os.utime(path, (time.time() - 2 * 86400,) * 2)
        assert main(arguments) == 0
        assert view(output) == states[1]
        check_books(output)
        assert not traces(output, gone)
        assert not [path for path in output.rglob("*") if path.suffix in (".tmp", ".pruned")]
        if disk.changes <= last:
            break
    assert seen == sorted(seen)
    assert seen.count(0) > 5
    assert seen.count(1) > 5
    assert last < 199


def test_a_prune_that_is_killed_again_and_again_ends(tmp_path, monkeypatch, uris):
    output = archive(tmp_path / "captions", uris)
    states = [view(output), without(view(output), uris[:2])]
    arguments = [str(output), "--uris", str(named(tmp_path, uris[:2])), "--killed", KILLED, "--delete"]
    seen = []
    for last in range(200):
        with monkeypatch.context() as patches:
            disk = Disk(patches, last)
            with suppress(KilledError):
                main(arguments)
        seen.append(states.index(view(output)))
        if disk.changes <= last:
            break
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert not traces(output, uris[:2])


def test_readers_see_one_state_or_the_other_while_a_prune_goes_on(tmp_path, monkeypatch, uris):
    output = archive(tmp_path / "captions", uris)
    gone = uris[:3]
    states = [view(output), without(view(output), gone)]
    seen, opened = [], []

    def look():
        seen.append(states.index(view(output)))
        opened.append(caption_files(str(output)))

    Disk(monkeypatch, look=look)
    assert main([str(output), "--uris", str(named(tmp_path, gone)), "--killed", KILLED, "--delete"]) == 0
    assert seen == sorted(seen)
    assert set(seen) == {0, 1}
    for state, files in zip(seen, opened, strict=True):  # by who looked before a file was replaced, and reads it now
        if state:
            assert sorted(record["uri"] for file in files for record in read(file)) == states[1][0]
        else:
            with pytest.raises(ReplacedError, match="was pruned while it was read; start again"):
                [read(file) for file in files]


def read(file):
    return list(RecordFile(file.path, lambda _: True))


DYING = """
import os, signal, sys
from beam_job.prune.command import main

replace, left = os.replace, int(sys.argv[1])
def counted(*args):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*args)
os.replace = counted
main(sys.argv[2:])
"""


@pytest.mark.parametrize(("last", "state"), [pytest.param(5, 0, marks=pytest.mark.slow), (14, 1)])
def test_a_prune_that_gets_sigkill_leaves_one_state_or_the_other(tmp_path, uris, python, last, state):
    output = archive(tmp_path / "captions", uris)
    states = [view(output), without(view(output), uris[:1])]
    arguments = [str(output), "--uris", str(named(tmp_path, uris[:1])), "--killed", KILLED, "--delete"]
    killed = subprocess.run([python, "-c", DYING, str(last), *arguments], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed
    assert states.index(view(output)) == state
    assert list(output.rglob("*.tmp"))
    assert main(arguments) == 0
    assert view(output) == states[1]
    assert not traces(output, uris[:1])
