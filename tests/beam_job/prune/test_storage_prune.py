"""Prunes of a folder on Cloud Storage, as the emulator has it: whole or not at all, too."""

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp.gcsio import GcsIO

from beam_job.files.in_folder import files_in
from beam_job.prune.command import main
from tests.archives import KILLED, archive, named, view, without
from tests.storage import Storage

OUTPUT = "gs://archive/my captions"


@pytest.fixture
def storage():
    with Storage() as storage:
        storage.bucket("archive")
        yield storage


@pytest.fixture
def uris(storage, tmp_path):
    """Photos and the folder of their captions."""
    uris = [f"gs://archive/photo{number}.jpg" for number in range(4)]
    for uri in uris:
        storage.put("archive", uri.removeprefix("gs://archive/"), b"x")
    upload(storage, archive(tmp_path / "captions", uris))
    return uris


def upload(storage, folder):
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size:  # the emulator takes no empty objects
            storage.put("archive", f"my captions/{path.relative_to(folder)}", path.read_bytes())


def files():
    return [path for depth in range(1, 4) for path in files_in(OUTPUT, *["*"] * depth)]


def traces(gone):
    found = []
    for path in files():
        with FileSystems.open(path, compression_type="uncompressed") as file:
            data = file.read()
        found += [path for uri in gone if uri.encode() in data]
    return found


def test_named_photos_leave_no_trace(uris, tmp_path):
    before = view(OUTPUT)
    arguments = [OUTPUT, "--uris", str(named(tmp_path, uris[:2])), "--killed", KILLED]
    assert main(arguments) == 0
    assert view(OUTPUT) == before
    assert main([f"{OUTPUT}/", *arguments[1:], "--delete"]) == 0
    assert view(OUTPUT) == without(before, uris[:2])
    assert not traces(uris[:2])
    assert not [path for path in files() if path.endswith(".pruned")]


def test_photos_whose_objects_are_gone_are_pruned(storage, uris, capsys):
    storage.metadata_faults["photo1.jpg"] = [403]
    storage.metadata_faults["photo2.jpg"] = [404, 404]
    before = view(OUTPUT)
    assert main([OUTPUT, "--killed", KILLED, "--delete"]) == 0
    said = capsys.readouterr().out
    assert "2 photos there, 1 gone." in said
    assert "1 photo in doubt, not removed: gs://archive says: permission_denied." in said
    assert view(OUTPUT) == without(before, uris[2:3])


def test_a_run_that_wrote_lately_may_be_going_on(uris, capsys):
    assert main([OUTPUT, "--delete"]) == 2
    assert f"run={KILLED} has no manifest" in capsys.readouterr().err


@pytest.mark.parametrize(("last", "state"), [pytest.param(9, 0, marks=pytest.mark.slow), (11, 1)])
def test_a_prune_that_is_killed_leaves_one_state_or_the_other(uris, tmp_path, monkeypatch, last, state):
    states = [view(OUTPUT), without(view(OUTPUT), uris[:1])]
    arguments = [OUTPUT, "--uris", str(named(tmp_path, uris[:1])), "--killed", KILLED, "--delete"]
    changes = 0

    def counted(change):
        def call(*args, **more):
            nonlocal changes
            changes += 1
            if changes > last:
                raise KeyboardInterrupt
            return change(*args, **more)

        return call

    with monkeypatch.context() as patches:
        patches.setattr(FileSystems, "create", staticmethod(counted(FileSystems.create)))
        patches.setattr(GcsIO, "delete_batch", counted(GcsIO.delete_batch))
        with pytest.raises(KeyboardInterrupt):
            main(arguments)
    assert states.index(view(OUTPUT)) == state
    assert main(arguments) == 0
    assert view(OUTPUT) == states[1]
    assert not traces(uris[:1])
