"""Exports on Cloud Storage: sidecars beside photos in a bucket, tables into one."""

import json

import pytest

from beam_job.export.command import main
from beam_job.export.xmp import places
from beam_job.export.xmp.places import CloudStorage, PlaceError, place_of
from tests.beam_job.export.sidecars import HOSTILE, WITH_DESCRIPTION, WITHOUT_DESCRIPTION
from tests.beam_job.export.test_xmp_export import run_of
from tests.storage import Storage


@pytest.fixture
def storage():
    places._bucket.cache_clear()
    with Storage() as storage:
        storage.bucket("archive")
        yield storage
    places._bucket.cache_clear()


def sidecars(storage):
    """The sidecars in the bucket, by their names."""
    _, _, data = storage.forward("GET", "/storage/v1/b/archive/o", None, {"Host": storage.url.removeprefix("http://")})
    names = [item["name"] for item in json.loads(data).get("items", []) if item["name"].endswith(".xmp")]
    return {name: place_of("gs://archive/x").read(f"gs://archive/{name}").data for name in names}


def export(folder, *options):
    assert main([folder, "--runner", "DirectRunner", *options]) == 0


def test_sidecars_in_a_bucket_there_and_back(storage, tmp_path, capsys):
    names = [f"2026/ü [{number}] #?.jpg" for number in range(60)]
    for name in names:
        storage.put("archive", name, b"photo")
    own = [
        *WITHOUT_DESCRIPTION.values(),
        *WITH_DESCRIPTION.values(),
        HOSTILE["billion laughs"][0],
        HOSTILE["truncated"][0],
    ]
    for name, data in zip(names, own, strict=False):
        storage.put("archive", f"{name}.xmp", data)
    before = sidecars(storage)
    uris = [f"gs://archive/{name}" for name in [*names, "gone.jpg"]]
    captions = run_of(tmp_path / "captions", uris)
    for path in captions.rglob("*"):
        if path.is_file() and path.stat().st_size:
            storage.put("archive", f"out/{path.relative_to(captions)}", path.read_bytes())
    new = len(names) - len(own) + len(WITHOUT_DESCRIPTION)
    kept = len(WITH_DESCRIPTION)
    said = {
        "": f"61 captions: {new} written, 0 unchanged, {kept} kept, 0 left out, 3 failed",
        "again": f"61 captions: 0 written, {new} unchanged, {kept} kept, 0 left out, 3 failed",
        "--undo": f"{len(names)} sidecars: {new} taken back, {kept + 2} unchanged, 0 kept, 0 left out, 0 failed",
    }
    export("gs://archive/out", "--to", "xmp")
    assert said[""] in capsys.readouterr().err
    after = sidecars(storage)
    assert sum(b"A photo, gs://archive/2026" in data.replace(b"\0", b"") for data in after.values()) == new
    export("gs://archive/out", "--to", "xmp")
    assert said["again"] in capsys.readouterr().err
    assert sidecars(storage) == after
    export("gs://archive/out", "--to", "xmp", "--undo")
    assert said["--undo"] in capsys.readouterr().err
    assert sidecars(storage) == before


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_in_a_bucket(storage, kind, tmp_path, capsys):
    captions = run_of(tmp_path / "captions", [f"gs://archive/{number}.jpg" for number in range(30)])
    for path in captions.rglob("*"):
        if path.is_file() and path.stat().st_size:
            storage.put("archive", f"out/{path.relative_to(captions)}", path.read_bytes())
    export("gs://archive/out", "--to", kind)
    assert "30 captions: 30 written" in capsys.readouterr().err
    data = place_of("gs://archive/x").read(f"gs://archive/out/captions.{kind}").data
    export(str(captions), "--to", kind)
    assert (captions / f"captions.{kind}").read_bytes() == data, "the same captions, the same bytes"
    export("gs://archive/out", "--to", kind)
    assert "30 unchanged" in capsys.readouterr().err


class Recorded:
    """A client whose objects remember what they were asked."""

    def __init__(self):
        self.asked = []

    def bucket(self, name):
        self.name = name
        return self

    def blob(self, name):
        self.asked.append((self.name, name))
        return self

    def upload_from_string(self, data, content_type, if_generation_match):
        self.asked.append((data, content_type, if_generation_match))

    def delete(self, if_generation_match):
        self.asked.append(if_generation_match)


def test_an_object_is_replaced_only_where_it_is_the_one_that_was_read():
    client = Recorded()
    place = CloudStorage(client)
    place.write("gs://archive/a/b.xmp", b"new", None)
    place.write("gs://archive/a/b.xmp", b"new", places.Found(b"old", 17))
    place.delete("gs://archive/a/b.xmp", places.Found(b"old", 18))
    name = ("archive", "a/b.xmp")
    kind = "application/rdf+xml"
    assert client.asked == [name, (b"new", kind, 0), name, (b"new", kind, 17), name, 18]


@pytest.mark.parametrize(
    ("status", "code"), [(412, "changed_meanwhile"), (403, "permission_denied"), (404, "cannot_access")]
)
def test_refusals_of_cloud_storage(status, code):
    class Refusing(Recorded):
        def upload_from_string(self, *_, **__):
            raise places.exceptions.from_http_status(status, "no")

    with pytest.raises(PlaceError) as caught:
        CloudStorage(Refusing()).write("gs://archive/a.xmp", b"new", None)
    assert caught.value.code == code
