"""A few photos on a disk or in a bucket, and the job over them. A stand-in captions: it says which colour it sees."""

import io
import json
import os
import sys
from types import ModuleType

from apache_beam.io.filesystems import FileSystems
from PIL import Image

from beam_job.cli import main
from beam_job.records import Caption, Captions
from beam_job.runs.current import caption_files


class ColourCaptioner:
    """Writes a line to ``log`` for each image that it captions: the URI and the colour."""

    device = "CPU"
    log = os.devnull

    def __init__(self, model, *_, **__):
        self.fingerprint = model.fingerprint

    def warm_up(self):
        pass

    def caption(self, pixels, uris):
        colours = ["-".join(map(str, image[0, 0])) for image in pixels]
        with open(self.log, "a") as file:
            file.writelines(f"{uri}\t{colour}\n" for uri, colour in zip(uris, colours, strict=True))
        return [Captions([Caption(colour, [colour], -1.0, -1.0, True, attention=[[1.0]])]) for colour in colours]


def captioned(log):
    """(URI, colour) of each image that was captioned."""
    return [tuple(line.split("\t")) for line in log.read_text().splitlines()] if log.exists() else []


def stand_in(monkeypatch, log):
    """Has the job caption colours for the length of a test, without TensorFlow."""
    module = ModuleType("beam_job.model.captioner")
    module.Captioner = ColourCaptioner
    monkeypatch.setitem(sys.modules, "beam_job.model.captioner", module)
    monkeypatch.setattr(ColourCaptioner, "log", str(log))


def picture(colour):
    """A PNG of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(file, "PNG")
    return file.getvalue()


class Disk:
    """Photos in a folder. Each change gets a time of its own: the clock of a disk may be too coarse for a test."""

    def __init__(self, folder):
        self.root = str(folder / "photos")
        self.output = str(folder / "out")
        os.makedirs(self.root)
        self._now = 1_700_000_000
        self._before = {}  # a photo's file and its time, before the last change

    def put(self, name, data):
        self._now += 1
        self._write(name, data, self._now)

    def copy(self, name, to):
        self._write(to, *self._read(name))

    def rename(self, name, to):
        self._remember(to)
        self._remember(name)
        os.rename(f"{self.root}/{name}", f"{self.root}/{to}")

    def delete(self, name):
        self._remember(name)
        os.remove(f"{self.root}/{name}")

    def restore(self, name):
        """As from a backup: the file before the last change, with its time. Returns its content, if there was one."""
        if name in self._before:
            self._write(name, *self._before[name])
            return self._read(name)[0]
        return None

    def _write(self, name, data, moment):
        self._remember(name)
        with open(f"{self.root}/{name}", "wb") as file:
            file.write(data)
        os.utime(f"{self.root}/{name}", (moment, moment))

    def _read(self, name):
        path = f"{self.root}/{name}"
        with open(path, "rb") as file:
            return file.read(), os.stat(path).st_mtime

    def _remember(self, name):
        if os.path.exists(f"{self.root}/{name}"):
            self._before[name] = self._read(name)


class Bucket:
    """The same in a folder of a bucket, in which the output lies, too. There, what is restored is a new version."""

    def __init__(self, storage, folder="archive"):
        self.root, self.output = f"gs://photos/{folder}/photos", f"gs://photos/{folder}/out"
        self._storage = storage
        self._prefix = f"{folder}/photos"
        self._data = {}
        self._before = {}

    def put(self, name, data):
        self._before[name] = self._data.get(name)
        self._data[name] = data
        self._storage.put("photos", f"{self._prefix}/{name}", data)

    def copy(self, name, to):
        self.put(to, self._data[name])

    def rename(self, name, to):
        if name != to:
            self.copy(name, to)
            self.delete(name)

    def delete(self, name):
        self._before[name] = self._data.pop(name)
        FileSystems.delete([f"{self.root}/{name}"])

    def restore(self, name):
        if self._before.get(name) is not None:
            self.put(name, self._before[name])
            return self._data[name]
        return None


def command(place, model, *argv):
    """The job's options: over all photos, or as ``argv`` says."""
    argv = argv or ("--images", f"{place.root}/*.png")
    limits = ("--shard_records", "2", "--batch_size", "2")
    return [*argv, "--output", place.output, "--model", model, *limits, "--runner=DirectRunner", "--no_auth"]


def run(place, model, *argv):
    """Runs the job; returns its manifest."""
    before = set(manifests(place))
    assert main(command(place, model, *argv)) == 0
    (path,) = set(manifests(place)) - before
    with FileSystems.open(path) as file:
        return json.load(file)


def manifests(place):
    """The paths of the manifests of all runs."""
    return [match.path for match in FileSystems.match([f"{place.output}/run=*/manifest.json"])[0].metadata_list]


def records(path):
    """The records of a file."""
    with FileSystems.open(path) as file:
        return [json.loads(line) for line in file.read().splitlines()]


def current(place):
    """The current caption of each URI."""
    found = {}
    for file in caption_files(place.output):
        for record in records(file.path):
            found.setdefault(record["uri"], record["caption"])
    return found
