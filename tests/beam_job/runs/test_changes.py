"""Photos that are added, changed, touched, renamed, copied and deleted between runs, some of which are killed.

After each run that ends, every photo has a caption of its present content, and no content was captioned twice under
one name. A stand-in captions: its sentence is the colour that it sees.
"""

import io
import json
import os
import random
import sys
from collections import Counter
from types import ModuleType

import numpy as np
import pytest
from apache_beam.io.filesystems import FileSystems
from PIL import Image

from beam_job.cli import main
from beam_job.images.pixels.dhash import difference_hash
from beam_job.options import OptionError, parse
from beam_job.records import Caption
from beam_job.runs.current import caption_files
from beam_job.runs.previous import parse_caption
from tests.photos import photos
from tests.storage import Storage
from tests.tiny_model import write_tiny_model

CAPTIONED = []  # (URI, colour) of each image that the model was asked about


class Captioner:
    device = "CPU"

    def __init__(self, model, *_, **__):
        self.fingerprint = model.fingerprint

    def warm_up(self):
        pass

    def caption(self, pixels, uris):
        colours = ["-".join(map(str, image[0, 0])) for image in pixels]
        CAPTIONED.extend(zip(uris, colours, strict=True))
        return [[Caption(colour, [colour], -1.0, -1.0, True, attention=[[1.0]])] for colour in colours]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_tiny_model(folder / "model")
    return str(folder / "model")


@pytest.fixture
def stand_in(monkeypatch):
    module = ModuleType("beam_job.model.captioner")
    module.Captioner = Captioner
    monkeypatch.setitem(sys.modules, "beam_job.model.captioner", module)
    CAPTIONED.clear()


def picture(colour):
    file = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(file, "PNG")
    return file.getvalue()


class Disk:
    """Photos in a folder. Each change gets a time of its own: the clock of a disk may be too coarse for a test."""

    def __init__(self, folder):
        self.root = str(folder / "photos")
        self.output = str(folder / "out")
        os.mkdir(self.root)
        self._now = 1_700_000_000

    def put(self, name, data):
        with open(f"{self.root}/{name}", "wb") as file:
            file.write(data)
        self._now += 1
        os.utime(f"{self.root}/{name}", (self._now, self._now))

    def rename(self, name, to):
        os.rename(f"{self.root}/{name}", f"{self.root}/{to}")

    def delete(self, name):
        os.remove(f"{self.root}/{name}")

    def lose(self, path):
        os.remove(path)


class Bucket:
    """The same in a bucket, in which the output lies, too."""

    def __init__(self, storage):
        self.root, self.output = "gs://photos/archive", "gs://photos/out"
        self._storage = storage
        storage.bucket("photos")
        self._data = {}

    def put(self, name, data):
        self._data[name] = data
        self._storage.put("photos", f"archive/{name}", data)

    def rename(self, name, to):
        self.put(to, self._data[name])
        self.delete(name)

    def delete(self, name):
        del self._data[name]
        FileSystems.delete([f"{self.root}/{name}"])

    def lose(self, path):
        FileSystems.delete([path])


class Archive:
    """Changes photos at random, and knows what colour each has."""

    def __init__(self, place, dice):
        self._place = place
        self._dice = dice
        self.colours = {}

    def change(self):
        acts = [self.add, self.alter, self.alter, self.touch, self.touch, self.rename, self.copy, self.delete]
        act = self._dice.choice(acts)
        if self.colours or act == self.add:
            act(*([] if act == self.add else [self._dice.choice(sorted(self.colours))]))

    def add(self):
        self._put(f"{self._dice.randrange(6):02}.png", self._colour())

    def alter(self, name):
        self._put(name, self._colour())

    def touch(self, name):
        self._put(name, self.colours[name])

    def rename(self, name):
        to = f"moved-{name}"
        if to not in self.colours:
            self._place.rename(name, to)
            self.colours[to] = self.colours.pop(name)

    def copy(self, name):
        self._put(f"copy-{name}", self.colours[name])

    def delete(self, name):
        self._place.delete(name)
        del self.colours[name]

    def _colour(self):
        return tuple(self._dice.choice([0, 128, 255]) for _ in range(3))  # few, so that contents come back

    def _put(self, name, colour):
        self._place.put(name, picture(colour))
        self.colours[name] = colour


def run(place, model, *argv):
    """Runs the job; returns its manifest."""
    before = set(caption_runs(place))
    argv = argv or ("--images", f"{place.root}/*.png")
    command = [*argv, "--output", place.output, "--model", model, "--shard_records", "2", "--batch_size", "2"]
    assert main([*command, "--runner=DirectRunner", "--no_auth"]) == 0
    (path,) = set(caption_runs(place)) - before
    with FileSystems.open(path) as file:
        return json.load(file)


def caption_runs(place):
    found = FileSystems.match([f"{place.output}/run=*/manifest.json"])[0].metadata_list
    return [match.path for match in found]


def kill(place, manifest, dice):
    """Leaves of a run that ended what is left of one that is killed: some of its files."""
    directory = f"{place.output}/run={manifest['id']}"
    place.lose(f"{directory}/manifest.json")
    for shard in manifest["captions"]:
        if dice.random() < 0.5:
            for record in records(f"{directory}/{shard['name']}"):
                key = (record["uri"], record["caption"])
                if key in CAPTIONED:  # a copy was captioned by another run
                    CAPTIONED.remove(key)
            place.lose(f"{directory}/{shard['name']}")


def records(path):
    with FileSystems.open(path) as file:
        return [json.loads(line) for line in file.read().splitlines()]


def current(place):
    """The current caption of each URI."""
    found = {}
    for file in caption_files(place.output):
        for record in records(file.path):
            found.setdefault(record["uri"], record["caption"])
    return found


def nights(place, model, dice, runs):
    archive = Archive(place, dice)
    for _ in range(6):
        archive.add()
    kinds = Counter()
    for night in range(runs):
        for _ in range(dice.randrange(1, 8)):
            archive.change()
        if not archive.colours:
            archive.add()
        manifest = run(place, model)
        counts = manifest["counts"]
        assert counts["input"] == counts["captioned"] + counts["skipped"] == len(archive.colours)
        assert current(place).items() >= {
            (f"{place.root}/{name}", "-".join(map(str, colour))) for name, colour in archive.colours.items()
        }
        times = Counter(CAPTIONED)
        assert max(times.values(), default=1) == 1, times
        kinds.update({name: manifest[name] for name in ("changed", "touched")})
        if night % 3 == 1:
            kill(place, manifest, dice)
    return kinds


@pytest.mark.parametrize("runs", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_changes_between_nights_on_disks(tmp_path, model, stand_in, runs):
    kinds = nights(Disk(tmp_path), model, random.Random(runs), runs)
    assert min(kinds["changed"], kinds["touched"]) > 0


@pytest.mark.parametrize("runs", [5, pytest.param(40, marks=pytest.mark.slow)])
def test_changes_between_nights_in_a_bucket(model, stand_in, runs):
    with Storage() as storage:
        kinds = nights(Bucket(storage), model, random.Random(runs), runs)
    assert min(kinds["changed"], kinds["touched"]) > 0


def test_what_a_touched_photo_costs(tmp_path, model, stand_in, capsys):
    place = Disk(tmp_path)
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        place.put(name, picture(colour))
    first = run(place, model)
    (record, _) = sorted(
        (
            record
            for shard in first["captions"]
            for record in records(f"{place.output}/run={first['id']}/{shard['name']}")
        ),
        key=lambda record: record["uri"],
    )
    assert record["version"] == f"{len(picture('red'))}-{1_700_000_001 * 10**9}"
    assert (record["bytes"], record["run"]) == (len(picture("red")), first["id"])
    place.put("a.png", picture("red"))
    place.put("b.png", picture("green"))
    capsys.readouterr()
    second = run(place, model)
    assert "1 captioned (1 changed), 0 failed, 1 skipped (1 touched)" in capsys.readouterr().err
    assert (second["changed"], second["touched"], second["devices"]) == (1, 1, ["CPU"])
    again = {
        found["uri"]: found
        for shard in second["captions"]
        for found in records(f"{place.output}/run={second['id']}/{shard['name']}")
    }[record["uri"]]
    version = f"{len(picture('red'))}-{1_700_000_003 * 10**9}"
    assert again == record | {"version": version, "run": second["id"]}
    third = run(place, model)
    assert (third["counts"]["skipped"], third["touched"], third["captions"]) == (2, 0, [])


def test_lists_with_versions(tmp_path, model, stand_in):
    place = Disk(tmp_path)
    for name in ("a.png", "b.png", "c.png"):
        place.put(name, picture("red"))
    listed = tmp_path / "list.jsonl"
    argv = ("--uris", str(listed), "--version_field", "v")

    def write(**versions):
        rows = ({"uri": f"{place.root}/{name}.png", "v": version} for name, version in versions.items())
        listed.write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(a=1, b="x", c=None)
    assert run(place, model, *argv)["counts"]["captioned"] == 3
    place.put("a.png", picture("blue"))
    place.put("c.png", picture("blue"))
    write(a=2, b="y", c=None)
    found = run(place, model, *argv)
    assert (found["changed"], found["touched"], found["counts"]["skipped"]) == (1, 1, 2)
    write(a=2, b=["y"], c=True)
    found = run(place, model, *argv)
    assert found["failures_by_code"] == {"list/bad_row": 2}
    assert found["counts"]["skipped"] == 1


def test_recheck_asks_once_for_each_known_image(tmp_path, model, stand_in):
    with Storage() as storage:
        place = Bucket(storage)
        for name in "abcd":
            place.put(f"{name}.png", picture("red"))
        (tmp_path / "list.txt").write_text("".join(f"{place.root}/{name}.png\n" for name in "abcd"))
        argv = ("--uris", str(tmp_path / "list.txt"))
        assert run(place, model, *argv)["counts"]["captioned"] == 4
        place.put("a.png", picture("blue"))
        place.put("b.png", picture("red"))
        place.delete("c.png")
        assert run(place, model, *argv)["counts"]["skipped"] == 4
        asked = Counter(storage.requests)
        looked = Counter(storage.looked_at)
        found = run(place, model, *argv, "--recheck")
        assert (found["changed"], found["touched"], found["counts"]["skipped"]) == (1, 1, 2)
        assert found["failures_by_code"] == {"fetch/not_found": 1}
        images = {f"archive/{name}.png" for name in "abcd"}
        assert {name: n for name, n in (storage.looked_at - looked).items() if name in images} == dict.fromkeys(
            images, 1
        )
        fetched = {name for name in storage.requests - asked if name in images}
        assert fetched == {f"archive/{name}.png" for name in "abc"}
        found = run(place, model, *argv, "--recheck")
        assert (found["counts"]["captioned"], found["counts"]["skipped"], found["known_failures"]) == (0, 3, 1)


def test_a_moved_archive_is_not_captioned_again(tmp_path, model, stand_in):
    place = Disk(tmp_path)
    for name, colour in (("a.png", "red"), ("b.png", "blue"), ("c.png", "blue")):
        place.put(name, picture(colour))
    place.put("broken.png", b"no image")
    first = run(place, model)
    old = place.root
    place.root = f"{tmp_path}/moved"
    os.rename(old, place.root)
    place.put("b.png", picture("blue"))  # of another version
    place.put("c.png", picture("green"))
    place.put("new.png", picture("green"))
    renamed = ("--images", f"{place.root}/*.png", "--rename_from", f"{old}/", "--rename_to", f"{place.root}/")
    found = run(place, model, *renamed)
    assert (found["counts"]["captioned"], found["changed"], found["touched"]) == (2, 1, 2)
    assert (found["counts"]["failed"], found["known_failures"]) == (1, 1)
    colours = zip("abc", ("255-0-0", "0-0-255", "0-128-0"), strict=True)
    colours = {f"{place.root}/{name}.png": colour for name, colour in colours}
    assert current(place).items() >= colours.items()
    for argv in ((), renamed):
        again = run(place, model, *argv)
        assert (again["counts"]["captioned"], again["touched"], again["counts"]["skipped"]) == (0, 0, 4)
    # A list names no versions: what is captioned under the old names counts, nothing is fetched.
    (tmp_path / "list.txt").write_text("elsewhere://a.png\nelsewhere://b.png\n")
    argv = ("--uris", str(tmp_path / "list.txt"), "--rename_from", f"{place.root}/", "--rename_to", "elsewhere://")
    found = run(place, model, *argv)
    assert (found["counts"]["skipped"], found["touched"]) == (2, 2)
    assert first["counts"]["captioned"] == 3
    assert len(CAPTIONED) == 5


@pytest.mark.parametrize(
    "argv", [["--rename_from", "/a"], ["--rename_to", "/a"], ["--rename_from=/a", "--rename_to=/a"]]
)
def test_half_a_renaming_is_refused(argv):
    with pytest.raises(OptionError, match="give both"):
        parse([*argv, "--images", "x", "--output", "y"]).to_renamed()


def test_runs_that_are_older_than_versions_count_as_before(tmp_path, model, stand_in):
    place = Disk(tmp_path)
    place.put("a.png", picture("red"))
    first = run(place, model)
    (shard,) = first["captions"]
    path = tmp_path / "out" / f"run={first['id']}" / shard["name"]
    (record,) = records(str(path))
    for name in ("version", "sha256", "bytes", "dhash", "run"):
        del record[name]
    path.write_text(json.dumps(record) + "\n")
    place.put("a.png", picture("blue"))
    for argv in ((), ("--images", f"{place.root}/*.png", "--recheck")):
        counts = run(place, model, *argv)["counts"]
        assert (counts["captioned"], counts["skipped"]) == (0, 1)
    assert run(place, model, "--images", f"{place.root}/*.png", "--recaption")["counts"]["captioned"] == 1
    place.put("a.png", picture("green"))
    assert run(place, model)["changed"] == 1


def test_the_hash_of_a_picture_hardly_changes_with_its_size_and_quality(tmp_path):
    hashes = []
    for path in photos(tmp_path, 6):
        with Image.open(path) as image:
            picture = image.convert("RGB")
            small = picture.resize((picture.width // 3, picture.height // 3))
            file = io.BytesIO()
            small.save(file, "JPEG", quality=40)
            views = [picture, small, Image.open(file)]
        found = [int(difference_hash(np.asarray(view.resize((224, 224)))), 16) for view in views]
        assert max((found[0] ^ other).bit_count() for other in found) <= 4
        hashes.append(found[0])
    pairs = [(a ^ b).bit_count() for number, a in enumerate(hashes) for b in hashes[:number]]
    assert min(pairs) > 8


def test_the_beginning_of_a_record_is_read_however_long_the_rest_is():
    line = (
        '{"uri": "a \\" b\\u00e9", "caption": "\\"x\\", \\"version\\": \\"9\\"", "score": -0.5, "version": "1-2", '
        f'"sha256": "{"0" * 64}", "bytes": 5, "captions": [{{"text": NONSENSE}}]}}'
    )
    assert parse_caption(line.encode()) == {"uri": 'a " bé', "caption": "", "version": "1-2", "sha256": "0" * 64}
    for odd in (line[:-1], line.replace('"score"', '"Score"'), line.replace('"1-2"', "5")):
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            parse_caption(odd.encode())
