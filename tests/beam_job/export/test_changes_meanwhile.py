"""Somebody else writes a sidecar after the export has read it and before it writes: nothing of theirs is lost."""

import json

import pytest

from beam_job.export.xmp import places
from beam_job.export.xmp.description import Description
from beam_job.export.xmp.places import CloudStorage, Disk, place_of
from beam_job.export.xmp.sidecar import put
from tests.beam_job.export.archive import contents, counts, export, failures, run_of
from tests.beam_job.export.sidecars import DARKTABLE, WITH_DESCRIPTION
from tests.processes import start
from tests.storage import Storage

WRITE, DELETE = ({place: getattr(place, name) for place in (Disk, CloudStorage)} for name in ("write", "delete"))
OURS = Description("Ours.", "beam-captioner, model m")
PLAIN, RATED = DARKTABLE.encode(), DARKTABLE.replace('Rating="3"', 'Rating="5"').encode()
THEIRS = WITH_DESCRIPTION["element"]


@pytest.fixture(params=["disk", "bucket"])
def put_files(request, tmp_path):
    """A function that puts files, by their names, into a folder on a disk or in a bucket, which it returns."""
    if request.param == "disk":
        (tmp_path / "photos").mkdir()
        yield lambda name, data: (tmp_path / "photos" / name).write_bytes(data), f"{tmp_path}/photos"
        return
    places._bucket.cache_clear()
    with Storage() as storage:
        storage.bucket("archive")
        yield lambda name, data: storage.put("archive", name, data), "gs://archive"
    places._bucket.cache_clear()


@pytest.fixture
def photos_with(put_files, tmp_path):
    """A function that makes photos with these sidecars; it returns the folder of their captions, and their own."""
    put_file, folder = put_files

    def make(sidecars):
        for name, data in sidecars.items():
            put_file(name, b"photo")
            if data is not None:
                put_file(f"{name}.xmp", data)
        records = [{"uri": f"{folder}/{name}", "caption": OURS.caption} for name in sidecars]
        return run_of(tmp_path / "captions", records), folder

    return make


def sidecars(folder, names):
    found = {name: place_of(folder).read(f"{folder}/{name}.xmp") for name in names}
    return {name: sidecar and sidecar.data for name, sidecar in found.items()}


def meanwhile(monkeypatch, changes):
    """Before a sidecar is written or deleted, somebody changes it: from its bytes to others, or to ``None``."""
    left = {name: list(todo) for name, todo in changes.items()}

    def hooked(function):
        def call(place, path, *arguments):
            todo = left[path.rpartition("/")[2].removesuffix(".xmp")]
            if todo:
                found = place.read(path)
                data = todo.pop(0)(found and found.data)
                if data is None:
                    DELETE[type(place)](place, path, found)
                else:
                    WRITE[type(place)](place, path, data, found)
            return function(place, path, *arguments)

        return call

    for originals, name in ((WRITE, "write"), (DELETE, "delete")):
        for place, function in originals.items():
            monkeypatch.setattr(place, name, hooked(function))


def test_an_export_goes_by_what_is_there_then(photos_with, monkeypatch):
    before = {"describes": None, "describes anew": PLAIN, "other export": None, "rates": PLAIN, "never rests": PLAIN}
    captions, folder = photos_with(before)
    changes = {
        "describes": [lambda _: THEIRS],
        "describes anew": [lambda _: THEIRS],
        "other export": [lambda data: put(data, OURS)[1]],
        "rates": [lambda _: RATED],
        "never rests": [lambda data: data + b"\n"] * 99,
    }
    meanwhile(monkeypatch, changes)
    assert export(captions) == counts(kept=2, unchanged=1, written=1, failed=1)
    assert failures(captions) == {f"{folder}/never rests": "changed_meanwhile"}
    assert sidecars(folder, before) == {
        "describes": THEIRS,
        "describes anew": THEIRS,
        "other export": put(None, OURS)[1],
        "rates": put(RATED, OURS)[1],
        "never rests": PLAIN + b"\n" * 3,
    }


def test_taking_back_goes_by_what_is_there_then(photos_with, monkeypatch):
    before = {"describes": put(None, OURS)[1], "rates": put(PLAIN, OURS)[1], "deletes": put(None, OURS)[1]}
    captions, folder = photos_with(before)
    changes = {
        "describes": [lambda _: THEIRS],
        "rates": [lambda data: data.replace(b'Rating="3"', b'Rating="5"')],
        "deletes": [lambda _: None],
    }
    meanwhile(monkeypatch, changes)
    assert export(captions, "--undo") == counts(unchanged=1, written=1)
    assert sidecars(folder, before) == {"describes": THEIRS, "rates": RATED, "deletes": None}


@pytest.mark.slow
def test_two_exports_at_once(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(500):
        (photos / f"{number:03}.jpg").touch()
        if number % 2:
            (photos / f"{number:03}.jpg.xmp").write_text(DARKTABLE)
    captions = run_of(tmp_path / "captions", [str(photo) for photo in photos.glob("*.jpg")])
    both = [start("beam_job.export", captions, "--to", "xmp", "--runner", "DirectRunner") for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    manifests = [json.loads(path.read_text())["counts"] for path in captions.glob("exports/*/manifest.json")]
    assert [found["written"] + found["unchanged"] for found in manifests] == [500, 500]
    assert sum(found["written"] for found in manifests) >= 500
    after = contents(photos)
    assert len(after) == 1000
    assert export(captions) == counts(unchanged=500)
    assert contents(photos) == after
    assert export(captions, "--undo") == counts(written=500)
    assert {data for data, *_ in contents(photos).values()} == {b"", DARKTABLE.encode()}
