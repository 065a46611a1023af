"""The same command again: only what is new is captioned."""

import ast
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_job.cli import main
from beam_job.records import Failure
from beam_job.runs.earlier.known import ReadEarlier
from beam_job.runs.earlier.take import TakeNew
from beam_job.runs.run import Run
from tests.earlier_runs import DECODING, earlier_run
from tests.photo_places import stand_in
from tests.photos import photos
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for seed in (0, 1):
        write_tiny_model(folder / str(seed), seed=seed)
    return folder


def run(tmp_path, model, *argv):
    """Runs the job over the folder; returns its counts (captioned, failed, skipped, duplicates)."""
    output = tmp_path / "out [1]"  # a name with the characters of a glob
    before = set(output.glob("run=*"))
    argv = [*argv, "--output", str(output), "--model", str(model)]
    assert main(["--images", f"{tmp_path}/photos/*.jpg", *argv]) == 0
    (made,) = set(output.glob("run=*")) - before
    counts = json.loads((made / "manifest.json").read_text())["counts"]
    return counts["captioned"], counts["failed"], counts["skipped"], counts["duplicates"]


def test_only_what_is_new(tmp_path, models, monkeypatch):
    stand_in(monkeypatch, tmp_path / "log")
    made = photos(tmp_path / "photos", 30)
    later = [path.rename(tmp_path / path.name) for path in made[20:]]
    broken = tmp_path / "photos" / "broken.jpg"
    broken.write_bytes(b"?")
    assert run(tmp_path, models / "0") == (20, 1, 0, 0)

    assert run(tmp_path, models / "0") == (0, 1, 20, 0)  # what failed is tried again

    for path in later:
        path.rename(tmp_path / "photos" / path.name)
    broken.write_bytes(made[0].read_bytes())
    assert run(tmp_path, models / "0") == (11, 0, 20, 0)
    assert run(tmp_path, models / "0", "--recaption") == (31, 0, 0, 0)
    assert run(tmp_path, models / "0") == (0, 0, 31, 0)
    assert run(tmp_path, models / "1") == (31, 0, 0, 0)
    assert run(tmp_path, models / "0", "--decoding", "beam", "--beam_width", "2") == (31, 0, 0, 0)
    assert run(tmp_path, models / "0", "--decoding", "beam", "--beam_width", "7") == (31, 0, 0, 0)
    assert run(tmp_path, models / "0", "--decoding", "beam", "--beam_width", "2") == (0, 0, 31, 0)


def left(tmp_path, listed=(), failures=(), recaption=False, model="m", decoding=DECODING):
    """What the runs in a folder leave to do: new URIs, failures that listing made, their counts, what was passed over.

    Each new URI comes with the failure of an earlier run, each failure with whether it is known.
    """
    run = Run(str(tmp_path), model, {"decoding": decoding}, id="now")
    kept = Path(tempfile.mkdtemp(dir=tmp_path))
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        earlier = pipeline | ReadEarlier(run, recaption=recaption, versions=False)
        rows = pipeline | "Listed" >> beam.Create([(uri, None) for uri in listed])
        failed = pipeline | "Failures" >> beam.Create([Failure(*failure) for failure in failures])
        new = (rows, failed, earlier.known) | TakeNew()
        found = {
            "uris": new.uris | beam.Map(lambda row: (row[0], row[2])),
            "failures": new.failures | beam.Map(lambda failure: (failure.uri, failure.error, failure.known)),
            "counts": new.counts,
            "passed_over": earlier.passed_over,
        }
        for name, elements in found.items():
            elements | f"Keep {name}" >> beam.Map(keep, str(kept / name))
    read = {name: [] if not (kept / name).exists() else (kept / name).read_text().splitlines() for name in found}
    uris, failed, counts, passed_over = (sorted(map(ast.literal_eval, read[name])) for name in found)
    shutil.rmtree(kept)
    return dict(uris), failed, tuple(map(sum, zip((0, 0, 0), *counts, strict=True)))[:2], sum(passed_over)


def keep(element, path):
    with open(path, "a") as file:
        file.write(f"{element!r}\n")


def test_new_uris_are_taken_once():
    listed = [("a", None), ("b", {"id": 1}), ("a", None), ("c", None), ("b", {"id": 1}), ("a", None)]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        known = pipeline | "Known" >> beam.Create([("c", True), ("d", True), ("c", True)])
        rows = pipeline | "Listed" >> beam.Create(listed)
        new = (rows, pipeline | "Failures" >> beam.Create([]), known) | TakeNew()
        assert_that(new.uris, equal_to([("a", None, None), ("b", {"id": 1}, None)]), label="new")
        sums = new.counts | beam.CombineGlobally(lambda counts: tuple(map(sum, zip((0, 0, 0), *counts, strict=True))))
        assert_that(sums, equal_to([(3, 1, 0)]), label="counts")


def test_which_runs_count_for_captions(tmp_path):
    ended = earlier_run(tmp_path / "run=1", captions=["ended"])
    (ended / "captions-stray.jsonl").write_text('{"uri": "stray", "caption": "A dog."}\n')
    killed = earlier_run(tmp_path / "run=2", finished=False, captions=["killed"])
    (killed / "captions-2.jsonl").write_text('{"uri": "killed, too", "caption": "A dog."}\n')
    earlier_run(tmp_path / "run=3", decoding={}, captions=["older"])  # options that are younger had no effect on it
    earlier_run(tmp_path / "run=4", model="n", captions=["other model"])
    torn = earlier_run(tmp_path / "run=5", captions=["its manifest is torn"])
    (torn / "manifest.json").write_text('{"id": "5", "mod')
    lost = earlier_run(tmp_path / "run=6", captions=["its run.json is lost"])
    (lost / "run.json").unlink()
    earlier_run(tmp_path / "run=now", captions=["now"])
    listed = ["ended", "stray", "killed", "killed, too", "older", "other model", "its manifest is torn"]
    listed += ["its run.json is lost", "now"]
    found = left(tmp_path, listed)
    assert found == (dict.fromkeys(["stray", "other model", "now"]), [], (0, 6), 1)
    assert left(tmp_path, listed, recaption=True)[0].keys() == set(listed)
    assert left(tmp_path, listed, decoding={**DECODING, "beam_width": 9})[0].keys() == set(listed)


DECODE = ("decode", "corrupt", {"sha256": "1"})


def test_which_failures_of_earlier_runs_count(tmp_path):
    """The latest finished run's, whatever its model, but for failures of the model itself."""
    no_caption = ("infer", "no_caption", {"sha256": "1"})
    earlier_run(
        tmp_path / "run=1",
        failures=[
            ("decode", *DECODE),
            ("fetch", "fetch", "not_found"),
            ("infer", *no_caption),
            ("row", "list", "bad_row"),
            ("fetched later", "fetch", "not_found"),
            ("gone later", *DECODE),
            ("again", *DECODE),
            ("odd", "decode", "corrupt", {"sha256": ["1"]}),
        ],
    )
    earlier_run(tmp_path / "run=2", model="n", failures=[("other model", *DECODE), ("other infer", *no_caption)])
    later = [("fetched later", *DECODE), ("gone later", "fetch", "not_found")]
    earlier_run(tmp_path / "run=3", failures=[*later, ("again", "decode", "corrupt", {"known": True})])
    earlier_run(tmp_path / "run=4", finished=False, failures=[("killed", *DECODE)])  # nobody was told of it
    expected = {
        "decode": ("decode", "corrupt", "1"),
        "fetch": ("fetch", "not_found", None),
        "infer": ("infer", "no_caption", "1"),
        "row": None,  # it is a row's failure, whose place happens to have that name
        "fetched later": ("decode", "corrupt", "1"),
        "gone later": ("fetch", "not_found", None),
        "again": ("decode", "corrupt", "1"),
        "odd": ("decode", "corrupt", None),
        "other model": ("decode", "corrupt", "1"),
        "other infer": None,
        "killed": None,
    }
    assert left(tmp_path, expected)[0] == expected
    assert left(tmp_path, expected, recaption=True)[0] == expected


def test_files_that_hold_known_failures_alone_are_not_read(tmp_path):
    """Or a night would cost as much as all nights before it together."""
    run = earlier_run(tmp_path / "run=1", failures=[("a", *DECODE)])
    assert left(tmp_path, ["a"])[0] == {"a": ("decode", "corrupt", "1")}
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["failures"][0]["known"] = 1
    (run / "manifest.json").write_text(json.dumps(manifest))
    assert left(tmp_path, ["a"])[0] == {"a": None}


def test_failures_of_listing_are_known_by_list_and_fault(tmp_path):
    """A bad row moves as its list grows: as many as earlier runs recorded are known, wherever they stand."""
    closed = ("/closed", "list", "cannot_list")
    odd, empty = "At line %d: odd.", "At line %d: the URI is empty."
    rows = [
        ("a.csv#3", "list", "bad_row", {"message": odd % 3}),
        ("a#1.csv#4", "list", "bad_row", {"message": odd % 4}),
    ]
    earlier_run(tmp_path / "run=1", failures=[*rows, closed, ("a.csv#3", "fetch", "not_found")])
    earlier_run(tmp_path / "run=2", failures=[("a.csv#9", "list", "bad_row", {"message": odd % 9})])
    now = [
        ("a.csv#4", odd % 4),
        ("a.csv#7", odd % 7),
        ("a.csv#9", odd % 9),
        ("a.csv#5", empty % 5),
        ("b.csv#3", odd % 3),
    ]
    failures = [(uri, "list", "bad_row", message) for uri, message in now] + [(*closed, "")]
    found = left(tmp_path, ["a.csv#3"], [*failures, ("a#1.csv#4", "list", "bad_row", odd % 4)])
    assert found[0] == {"a.csv#3": ("fetch", "not_found", None)}  # an image of that name
    known = Counter((uri.rpartition("#")[0] or uri, error, known) for uri, error, known in found[1])
    assert known == {
        ("a.csv", "bad_row", True): 2,
        ("a.csv", "bad_row", False): 2,
        ("b.csv", "bad_row", False): 1,
        ("a#1.csv", "bad_row", True): 1,
        ("/closed", "cannot_list", True): 1,
    }


@pytest.mark.parametrize(
    ("earlier", "sha256", "known"),
    [
        (("decode", "corrupt", "1"), "1", True),
        (("decode", "corrupt", "2"), "1", False),  # another file by that name
        (("decode", "truncated", "1"), "1", False),
        (("fetch", "corrupt", "1"), "1", False),
        (("decode", "corrupt", None), "1", False),
        (("decode", "corrupt", None), None, True),
        (None, None, False),
    ],
)
def test_a_failure_is_known_by_stage_code_and_file(earlier, sha256, known):
    failure = Failure("a", "decode", "corrupt", "", sha256=sha256, earlier=earlier)
    assert failure.known is known
    assert failure.summary_keys == (("decode/corrupt", "known") if known else ("decode/corrupt",))
    assert json.loads(failure.to_json())["known"] is known
