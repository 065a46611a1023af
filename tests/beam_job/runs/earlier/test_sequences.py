"""Photos that are added, changed, touched, renamed, copied, deleted and restored between runs, some of them killed.

After the last run every photo has a caption of its present content, and nothing that is on record was captioned again
for the same content and name.
"""

import itertools
import json

import pytest
from apache_beam.io.filesystems import FileSystems
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beam_job.cli import main
from tests.kills import AFTER, MIDDLE, MOMENTS, Kill
from tests.photo_places import Bucket, Disk, captioned, command, current, manifests, picture, records, run, stand_in
from tests.processes import start
from tests.storage import Storage

COLOURS = {"255-0-0": "red", "0-255-0": "lime", "0-0-255": "blue"}  # few, so that contents come back
PICTURES = {caption: picture(colour) for caption, colour in COLOURS.items()}

_NAME = st.sampled_from(["a.png", "b.png", "c.png", "d.png"])
_CHANGE = st.one_of(
    st.tuples(st.just("put"), _NAME, st.sampled_from(sorted(PICTURES))),
    st.tuples(st.just("touch"), _NAME),
    st.tuples(st.just("rename"), _NAME, _NAME),
    st.tuples(st.just("copy"), _NAME, _NAME),
    st.tuples(st.just("delete"), _NAME),
    st.tuples(st.just("restore"), _NAME),
)
_KILL = st.tuples(st.integers(1, 8), st.sampled_from(MOMENTS))
_NIGHT = st.tuples(st.lists(_CHANGE, min_size=1, max_size=6), st.booleans(), st.none() | _KILL)
NIGHTS = st.lists(_NIGHT, min_size=1, max_size=4)
SOME_OF_EACH = [
    ([("put", "a.png", "255-0-0"), ("put", "b.png", "0-255-0"), ("put", "c.png", "0-0-255")], False, (3, AFTER)),
    ([("put", "a.png", "0-255-0"), ("touch", "b.png"), ("copy", "c.png", "d.png")], True, None),
    ([("restore", "a.png"), ("delete", "d.png"), ("rename", "b.png", "d.png")], False, (2, MIDDLE)),
]


class Archive:
    """The photos of a place, and what is known of the runs over them."""

    def __init__(self, place, model, folder, in_children):
        self.place = place
        self.photos = {}  # the caption that each name should have
        self._model = model
        self._list = folder / "list.txt"
        self._log = folder / "log"
        self._in_children = in_children

    def change(self, act, name, other=None):
        """What cannot be done, as there is no such photo, is not done."""
        if act == "put":
            self.place.put(name, PICTURES[other])
            self.photos[name] = other
        elif act == "restore":
            data = self.place.restore(name)
            if data is not None:
                self.photos[name] = next(caption for caption, same in PICTURES.items() if same == data)
        elif name not in self.photos:
            return
        elif act == "touch":
            self.place.put(name, PICTURES[self.photos[name]])
        elif act == "rename":
            self.place.rename(name, other)
            self.photos[other] = self.photos.pop(name)
        elif act == "copy":
            self.place.copy(name, other)
            self.photos[other] = self.photos[name]
        else:
            self.place.delete(name)
            del self.photos[name]

    def night(self, recheck, kill):
        """Runs the job, over a list whose photos are looked at or over a glob; it may be killed."""
        before, recorded = len(captioned(self._log)), self._recorded()
        self._list.write_text("".join(f"{self.place.root}/{name}\n" for name in self.photos))
        argv = ("--uris", str(self._list), "--recheck") if recheck else ()
        if kill is None:
            counts = run(self.place, self._model, *argv)["counts"]
            assert counts["input"] == counts["captioned"] + counts["skipped"] == len(self.photos)
            expected = {f"{self.place.root}/{name}": caption for name, caption in self.photos.items()}
            assert current(self.place).items() >= expected.items()
        elif self._in_children:
            child = start("tests.killed_job", self._log, *kill, *command(self.place, self._model, *argv))
            assert child.wait(timeout=300) in (0, 9), child.stderr.read()
        else:
            with Kill(*kill):
                main(command(self.place, self._model, *argv))
        now = captioned(self._log)[before:]
        assert len(set(now)) == len(now)
        assert not recorded & set(now)

    def _recorded(self):
        """URI and caption of every record that a run has left: in files that its manifest names, or has yet to name."""
        found = set()
        written = FileSystems.match([f"{self.place.output}/run=*/captions-*.jsonl"])[0].metadata_list
        named = {}
        for path in manifests(self.place):
            with FileSystems.open(path) as file:
                named[FileSystems.split(path)[0]] = {entry["name"] for entry in json.load(file)["captions"]}
        for path in (file.path for file in written):
            folder, name = FileSystems.split(path)
            if name in named.get(folder, {name}):
                found |= {(record["uri"], record["caption"]) for record in records(path)}
        return found


def check(place, model, folder, nights, in_children=False):
    folder.mkdir(exist_ok=True)
    archive = Archive(place, model, folder, in_children)
    for changes, recheck, kill in [*nights, ([], False, None)]:
        for change in changes:
            archive.change(*change)
        if archive.photos:
            archive.night(recheck, kill)


@pytest.mark.parametrize(
    ("examples", "in_children"),
    [(3, False), pytest.param(300, False, marks=pytest.mark.slow), pytest.param(10, True, marks=pytest.mark.slow)],
)
def test_on_a_disk(tmp_path, model, monkeypatch, examples, in_children):
    numbers = itertools.count()

    @settings(max_examples=examples)
    @given(nights=NIGHTS)
    @example(nights=SOME_OF_EACH)
    def each(nights):
        folder = tmp_path / str(next(numbers))
        stand_in(monkeypatch, folder / "log")
        check(Disk(folder), model, folder, nights, in_children)

    each()


@pytest.mark.parametrize(
    ("examples", "in_children"),
    [(1, False), pytest.param(150, False, marks=pytest.mark.slow), pytest.param(6, True, marks=pytest.mark.slow)],
)
def test_in_a_bucket(tmp_path, model, monkeypatch, examples, in_children):
    numbers = itertools.count()
    with Storage() as storage:
        storage.bucket("photos")

        @settings(max_examples=examples)
        @given(nights=NIGHTS)
        @example(nights=SOME_OF_EACH)
        def each(nights):
            name = str(next(numbers))
            stand_in(monkeypatch, tmp_path / name / "log")
            check(Bucket(storage, name), model, tmp_path / name, nights, in_children)

        each()
