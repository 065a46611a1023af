"""Sidecars of a whole archive, on disks and in buckets: export, a kill in the middle, and the way back."""

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from beam_job.export.command import main
from beam_job.export.xmp import places
from tests.beam_job.export.archive import counts, make_photos, needs_readers, run_of
from tests.beam_job.export.sidecars import HOSTILE

OURS = ("XMP-dc:Description", "XMP-iptcCore:AltTextAccessibility", "XMP-photoshop:CaptionWriter")
KILLED = """
import os, signal, sys
from apache_beam.internal.gcp import auth
from beam_job.export.command import main
from beam_job.export.xmp import places
auth._Credentials._credentials_init = True
def kill_in(owner, name):
    function, done = getattr(owner, name), []
    def call(*arguments):
        if len(done) >= int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(function(*arguments))
    setattr(owner, name, call)
kill_in(places, "_move_to_free_name")
kill_in(places.CloudStorage, "write")
main(sys.argv[2:])
"""


class OnDisk:
    """An archive on a disk."""

    def __init__(self, folder):
        self.photos, self.output = f"{folder}/photos", str(folder / "captions")

    def upload(self, *_):
        pass

    def contents(self):
        """Each file's bytes, and what changes when it is written."""
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path(self.photos).iterdir()}

    def manifests(self):
        return [path.read_bytes() for path in Path(self.output).glob("exports/*/manifest.json")]


class InBucket:
    """An archive in a bucket."""

    def __init__(self, storage):
        self._storage = storage
        self.photos, self.output = "gs://archive/2026/ü [1] #?", "gs://archive/out"

    def upload(self, folder):
        for path in folder.rglob("*"):
            if path.is_file() and path.stat().st_size:
                name = str(path.relative_to(folder))
                name = name.replace("photos/", "2026/ü [1] #?/").replace("captions/", "out/")
                self._storage.put("archive", name, path.read_bytes())

    def contents(self):
        return {name.rpartition("/")[2]: found for name, found in self._objects("2026/").items()}

    def manifests(self):
        return [found.data for name, found in self._objects("out/exports/").items() if name.endswith("manifest.json")]

    def _objects(self, prefix):
        answer = self._storage.forward("GET", "/storage/v1/b/archive/o", None, {"Host": self._storage.url[7:]})[2]
        names = [item["name"] for item in json.loads(answer)["items"] if item["name"].startswith(prefix)]
        return {name: places.place_of("gs://").read(f"gs://archive/{name}") for name in names}


def dump(contents, folder):
    """What ExifTool reads of each sidecar."""
    folder.mkdir()
    for name, (data, _) in contents.items():
        if name.endswith(".xmp") and data not in [hostile for hostile, _ in HOSTILE.values()]:
            (folder / name).write_bytes(data)
    command = ["exiftool", "-j", "-G1", "-a", "-s", "-struct", "-ext", "xmp", folder]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    is_theirs = re.compile("XMP-(?!captioner|was_)").match
    return {
        Path(tags["SourceFile"]).name: {name: value for name, value in tags.items() if is_theirs(name)}
        for tags in found
    }


@needs_readers
@pytest.mark.parametrize(
    ("where", "number"),
    [
        ("disk", 50),
        ("bucket", 50),
        pytest.param("disk", 500, marks=pytest.mark.slow),
        pytest.param("bucket", 500, marks=pytest.mark.slow),
    ],
)
def test_there_and_back(where, number, tmp_path, request, capsys, python):
    archive = OnDisk(tmp_path) if where == "disk" else InBucket(request.getfixturevalue("storage"))
    names = [photo.name for photo in make_photos(tmp_path / "photos", number)]
    for name, hostile in zip(names[-2:], ("billion laughs", "truncated"), strict=True):
        (tmp_path / "photos" / f"{name}.xmp").write_bytes(HOSTILE[hostile][0])
    captions = {f"{archive.photos}/{name}": f"A photo, {name}." for name in [*names, "gone.jpg"]}
    run_of(tmp_path / "captions", [{"uri": uri, "caption": caption} for uri, caption in captions.items()])
    archive.upload(tmp_path)
    earlier = Counter()

    def export(*options):
        assert main([archive.output, "--to", "xmp", "--runner", "DirectRunner", *options]) == 0
        manifests = Counter(archive.manifests())
        (latest,) = manifests - earlier
        earlier.update([latest])
        return json.loads(latest)["counts"]

    before = archive.contents()
    read_before = dump(before, tmp_path / "read before")
    kept, failed = number * 4 // 50, 3
    written = number - kept - 2

    if where == "disk":
        assert export("--dry_run") == counts(written=written, kept=kept, failed=failed)
        assert len(capsys.readouterr().out.splitlines()) == 10
        assert archive.contents() == before

    stopped = number // 5
    killed = [python, "-c", KILLED, str(stopped), archive.output, "--to", "xmp", "--runner", "DirectRunner"]
    assert subprocess.run(killed, check=False).returncode == -9
    halfway = archive.contents()
    assert sum(name.endswith(".tmp") for name in halfway) >= (where == "disk")

    found = export()  # requests that were under way may still reach the bucket
    assert found["unchanged"] >= stopped
    assert found["written"] >= 1
    done = found["written"] + found["unchanged"]
    assert found == counts(written=found["written"], unchanged=found["unchanged"], kept=kept, failed=failed)
    assert done == written
    after = archive.contents()
    assert all(found in (before.get(name), after[name]) for name, found in halfway.items() if name.endswith(".xmp"))
    assert not [name for name in after if not name.endswith((".jpg", ".xmp"))], "nothing is left of the kill"
    assert {name: found for name, found in after.items() if name.endswith(".jpg")} == {
        name: found for name, found in before.items() if name.endswith(".jpg")
    }, "photos are not touched"
    read = dump(after, tmp_path / "read")
    assert len(read) == number - 2
    described = 0
    for name, tags in read.items():
        caption = f"A photo, {name.removesuffix('.xmp')}."
        if tags.get("XMP-dc:Description") == caption:
            described += 1
            assert tags["XMP-iptcCore:AltTextAccessibility"] == caption
            assert tags["XMP-photoshop:CaptionWriter"] == "beam-captioner, model m"
            theirs = {tag: value for tag, value in tags.items() if tag not in OURS}
            assert theirs == {tag: value for tag, value in read_before.get(name, {}).items() if tag not in OURS}
        else:
            assert tags == read_before[name], "a person's description"
    assert described == written
    by_tools = sorted((tmp_path / "read").glob("*.xmp"))[: number * 14 // 50]
    by_exiv2 = subprocess.run(
        ["exiv2", "-K", "Xmp.dc.description", "-Pt", *by_tools], capture_output=True, text=True, check=True
    )
    assert (by_exiv2.stdout.count("A photo, "), by_exiv2.stderr) == (number * 12 // 50, "")

    capsys.readouterr()
    assert export() == counts(unchanged=written, kept=kept, failed=failed)
    said = capsys.readouterr().err
    assert "Nothing changed." in said
    assert "WARNING" not in said
    assert archive.contents() == after

    if where == "disk":
        capsys.readouterr()
        assert export("--undo", "--dry_run") == counts(written=written, unchanged=kept + 2)
        assert all(line.endswith(".xmp") for line in capsys.readouterr().out.splitlines())
        assert archive.contents() == after
    assert export("--undo") == counts(written=written, unchanged=kept + 2)
    assert {name: data for name, (data, _) in archive.contents().items()} == {
        name: data for name, (data, _) in before.items()
    }
