"""Runs over globs: the manifest counts the files left out; folders with a glob's characters in their names."""

import json
import re

import pytest

from beam_job.cli import main
from beam_job.files.in_folder import files_in
from beam_job.files.whole import write_whole
from beam_job.listing.lists import list_pieces
from beam_job.report.run_records import open_source
from beam_job.runs.earlier.known import earlier_runs
from beam_job.runs.run import Run
from beam_job.runs.shards import delete_orphans
from tests.photos import photos
from tests.storage import Storage
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def storage():
    with Storage() as storage:
        storage.bucket("archive")
        yield storage


@pytest.mark.usefixtures("colours")
def test_a_run_over_globs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_tiny_model(tmp_path / "model")
    made = photos(tmp_path / "photos", 8)
    for path, name in zip(made, [".hidden.jpg", "@eaDir/a.jpg", "album/a.jpg", "not this.jpg"], strict=False):
        (tmp_path / "photos" / name).parent.mkdir(exist_ok=True)
        path.rename(tmp_path / "photos" / name)
    (tmp_path / "photos" / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "photos" / "unplugged").symlink_to("/mnt/no such disk")
    output = "photos/Album [2019]"
    argv = ["--output", output, "--model", "model", "--report", "--images", "photos/*.png", "photos/**/*.jpg"]
    argv += ["photos/album/*.jpg", "--exclude", "not*"]

    assert main(argv) == 0
    said = capsys.readouterr().err
    assert "beam_job: --images photos/*.png: no image matches.\n" in said
    assert "8 images: 5 captioned, 2 failed, 0 skipped, 1 duplicate, 4 left out in" in said
    (run,) = (tmp_path / output).iterdir()
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["counts"] == {"input": 8, "captioned": 5, "failed": 2, "skipped": 0, "duplicates": 1}
    assert manifest["left_out"] == 4
    assert manifest["options"]["exclude"] == ["not*"]
    failures = [json.loads(line) for path in run.glob("failures-*") for line in path.read_text().splitlines()]
    assert {(failure["uri"], failure["stage"], failure["error"]) for failure in failures} == {
        (f"{tmp_path}/photos/unplugged", "list", "cannot_list"),
        (f"{tmp_path}/photos/gone.jpg", "fetch", "not_found"),
    }
    assert (run / "report.html").exists()

    # Lists are named by the same globs, in a folder with brackets, too.
    assert [path for path, *_ in list_pieces(f"{output}/run=*/failures-*.{{jsonl,csv}}", {})] == [
        str(path) for path in run.glob("failures-*")
    ]

    # The same command goes on from there; a list of failures holds no folder, and names what a glob leaves out.
    (tmp_path / "list.jsonl").write_text(
        "".join(f"{json.dumps(failure)}\n" for failure in failures)
        + json.dumps({"uri": str(tmp_path / "photos" / ".hidden.jpg")})
    )
    assert main([*argv, "--uris", "list.jsonl"]) == 0
    said = capsys.readouterr().err
    assert re.search(r"10 images: 1 captioned, 2 failed.*, 5 skipped, 2 duplicates, 4 left out in", said)


@pytest.mark.parametrize("name", ["[2019]", "Album [2019]", "what?", "a*b/c", "a/[b]", "[!x]/[y"])
@pytest.mark.parametrize("place", ["relative", "absolute", "gs://archive"])
def test_folders_with_the_characters_of_globs(tmp_path, monkeypatch, storage, name, place):
    if "?" in name and "://" in place:
        pytest.skip("the emulator doesn't serve such names")
    monkeypatch.chdir(tmp_path)
    output = {"relative": name, "absolute": f"{tmp_path}/{name}"}.get(place, f"{place}/{name}")
    runs = [Run(output, "m", {"decoding": {}}, id=f"{number}-a") for number in range(2)]
    for run in runs:
        run.start()
    other = Run(output.replace("[", "").replace("]", "").replace("?", "x").replace("*", "x"), "m", {"decoding": {}})
    other.start()
    assert [path.rpartition("/")[2] for path in earlier_runs(output, runs[1].id)] == ["run=0-a"]
    assert [run.id for run in open_source(output).runs] == ["1-a", "0-a"]
    for kind in "ab":
        write_whole(f"{runs[0].directory}/captions-{kind}.jsonl", b"")
    assert files_in(runs[0].directory, "captions-*") == [f"{runs[0].directory}/captions-{kind}.jsonl" for kind in "ab"]
    delete_orphans(runs[0].directory, "captions", {"captions-b.jsonl"})
    assert files_in(runs[0].directory, "captions-*") == [f"{runs[0].directory}/captions-b.jsonl"]
