"""A job that runs every night over an archive in which a few photos are broken for good."""

import json

import numpy as np
import pytest
from PIL import Image

from beam_job.cli import main
from tests.tiny_model import write_tiny_model

pytestmark = pytest.mark.usefixtures("colours")


def archive(folder, count, broken):
    """Writes ``count`` different small photos, ``broken`` of them cut off; returns the broken ones."""
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(count):
        image = Image.fromarray(noise.integers(0, 256, [16, 16, 3], np.uint8))
        image.save(folder / f"{number:03}.jpg")
    paths = sorted(folder.iterdir())[:: count // broken][:broken]
    for path in paths:
        path.write_bytes(path.read_bytes()[:300])
    return paths


class Nights:
    """Runs the same command again and again; says how each night ended."""

    def __init__(self, folder, *argv):
        self.output = folder / "out"
        self.argv = [*argv, "--output", str(self.output), "--model", str(folder / "model"), "--max_failures", "5%"]
        write_tiny_model(folder / "model")

    def __call__(self, *argv):
        before = set(self.output.glob("run=*"))
        status = main([*self.argv, *argv])
        (self.run,) = set(self.output.glob("run=*")) - before
        manifest = json.loads((self.run / "manifest.json").read_text())
        counts = manifest["counts"]
        return status, counts["captioned"], counts["failed"], manifest["known_failures"]

    def records(self, kind):
        return {
            record["uri"]: record
            for path in self.run.glob(f"{kind}-*.jsonl")
            for record in map(json.loads, path.read_text().splitlines())
        }


@pytest.mark.parametrize(("nights", "mended"), [(5, 3), pytest.param(30, 12, marks=pytest.mark.slow)])
def test_nights_over_an_archive_with_photos_that_are_broken_for_good(tmp_path, capsys, nights, mended):
    broken = archive(tmp_path / "photos", 100, 3)
    whole = (tmp_path / "photos" / "099.jpg").read_bytes()
    night = Nights(tmp_path, "--images", f"{tmp_path}/photos/*.jpg")
    assert night() == (0, 97, 3, 0)
    for _ in range(2, mended):
        assert night() == (0, 0, 3, 3)
    assert "97 skipped" in capsys.readouterr().err
    failures = night.records("failures")
    assert failures.keys() == set(map(str, broken))
    assert all(failure["known"] for failure in failures.values())

    broken[0].write_bytes(whole)
    assert night() == (0, 1, 2, 2)
    assert night.records("captions").keys() == {str(broken[0])}
    for _ in range(mended, nights):
        assert night() == (0, 0, 2, 2)
    assert "0 captioned, 2 failed (2 known), 98 skipped" in capsys.readouterr().err


def test_what_is_new_fails_a_night_once(tmp_path, capsys):
    archive(tmp_path / "photos", 10, 1)[0].unlink()
    uris = sorted(map(str, (tmp_path / "photos").iterdir()))
    listed = tmp_path / "list.jsonl"
    listed.write_text("".join(json.dumps({"uri": uri}) + "\n" for uri in uris))
    night = Nights(tmp_path, "--uris", str(listed))
    assert night() == (0, 9, 0, 0)
    with listed.open("a") as file:
        file.write(f'{{"uri": "{tmp_path}/gone.jpg"}}\nno row\n')
    assert night() == (3, 0, 2, 0)
    assert "2 of 2 images failed, more than --max_failures 5% allows" in capsys.readouterr().err
    assert night() == (0, 0, 2, 2)
    listed.write_text("\n" + listed.read_text())  # rows move
    assert night() == (0, 0, 2, 2)

    (tmp_path / "gone.jpg").write_bytes(b"no image")  # fails in another way
    assert night() == (3, 0, 2, 1)
    assert "1 of 1 image failed (not counting 1 known failure)" in capsys.readouterr().err
    assert night() == (0, 0, 2, 2)
    (tmp_path / "gone.jpg").write_bytes(b"another file, and no image either")
    assert night() == (3, 0, 2, 1)
    assert night() == (0, 0, 2, 2)
    assert night("--uris", f"{night.output}/run=*/failures-*.jsonl") == (0, 0, 2, 2)  # trying again what failed
    assert night("--recaption") == (0, 9, 2, 2)
