"""What reads a folder of runs reads it in a bucket, too, whatever its images are called."""

import gc
import json

import apache_beam as beam
import pytest
from apache_beam.io.filesystems import FileSystems

from beam_job.cli import main
from beam_job.report.command import main as report
from beam_job.runs.current import ReadCaptions
from tests.photo_places import Bucket, captioned, command, current, manifests, picture, run, stand_in
from tests.storage import Storage
from tests.tiny_model import write_tiny_model

COLOURS = {"a b.png": "red", "ä [1].png": "red", "c#2%20.png": "red", "{d}.png": "blue", "e?*.png": "lime"}


@pytest.fixture
def storage(tmp_path, monkeypatch):
    write_tiny_model(tmp_path / "model")
    stand_in(monkeypatch, tmp_path / "log")
    with Storage() as storage:
        storage.bucket("photos")
        yield storage


@pytest.fixture
def place(storage):
    """A photo of each colour."""
    place = Bucket(storage)
    for name, colour in COLOURS.items():
        place.put(name, picture(colour))
    return place


def test_captions_copies_and_moved_names(tmp_path, storage, place):
    assert run(place, str(tmp_path / "model"))["counts"]["captioned"] == 5
    place.put("a b.png", picture("red"))
    place.put("{d}.png", picture("lime"))
    second = run(place, str(tmp_path / "model"))
    assert (second["touched"], second["changed"], second["counts"]["skipped"]) == (1, 1, 4)

    with beam.Pipeline("FnApiRunner") as pipeline:
        lines = pipeline | ReadCaptions(f"{place.output}/") | beam.Map(json.dumps)
        _ = lines | beam.io.WriteToText(f"{tmp_path}/found", num_shards=1)
    (path,) = tmp_path.glob("found*")
    found = {record["uri"]: record for record in map(json.loads, path.read_text().splitlines())}
    assert {uri.removeprefix(f"{place.root}/") for uri in found} == COLOURS.keys()
    assert found[f"{place.root}/{{d}}.png"]["caption"] == "0-255-0"
    assert found[f"{place.root}/a b.png"]["run"] == second["id"]

    assert report([place.output, "--groups", f"{place.output}/groups.jsonl"]) == 0
    with FileSystems.open(f"{place.output}/groups.jsonl") as file:
        groups = [json.loads(line) for line in file.read().splitlines()]
    copies = [["a b.png", "c#2%20.png", "ä [1].png"], ["e?*.png", "{d}.png"]]
    assert groups == [{"kind": "copies", "uris": [f"{place.root}/{name}" for name in names]} for names in copies]

    moved = Bucket(storage, "moved")
    moved.output = place.output
    for name, colour in COLOURS.items():
        moved.put(name, picture("red" if name == "{d}.png" else colour))
    before = len(captioned(tmp_path / "log"))
    renamed = ("--rename_from", f"{place.root}/", "--rename_to", f"{moved.root}/")
    third = run(moved, str(tmp_path / "model"), "--images", f"{moved.root}/*.png", *renamed)
    # Each has another generation: all are fetched, and only the one whose bytes differ is captioned.
    assert (third["touched"], third["changed"]) == (4, 1)
    assert captioned(tmp_path / "log")[before:] == [(f"{moved.root}/{{d}}.png", "255-0-0")]


def test_a_bucket_that_takes_no_more_fails_the_run_and_a_later_run_goes_on(tmp_path, storage, place, capsys):
    for refused, done in (("captions-", 5), ("manifest.json", 10)):
        storage.refused = refused
        assert main(command(place, str(tmp_path / "model"))) == 1
        err = capsys.readouterr().err
        assert "beam_job: the run gs://photos/archive/out/run=" in err
        assert "cannot write gs://photos/archive/out/run=" in err
        assert f"/{refused}" in err
        assert "403" in err
        assert "Traceback" not in err
        assert len(captioned(tmp_path / "log")) <= done
        assert not manifests(place)
        gc.collect()  # the client tries again when its file is
    storage.refused = None
    counts = run(place, str(tmp_path / "model"))["counts"]
    assert (counts["captioned"], counts["skipped"]) == (0, 5)
    assert len(current(place)) == 5
