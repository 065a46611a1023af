"""Prunes between real runs of the job."""

import json
import shutil

import pytest

from beam_job.cli import main as caption
from beam_job.prune.command import main
from beam_job.report.write import write_report
from tests.archives import check_books, traces, view
from tests.photos import photos
from tests.tiny_model import write_tiny_model


@pytest.fixture
def job(tmp_path):
    write_tiny_model(tmp_path / "model")

    def run(folder, *options):
        argv = [
            "--images",
            f"{folder}/*.jpg",
            "--output",
            str(tmp_path / "captions"),
            "--model",
            str(tmp_path / "model"),
        ]
        assert caption([*argv, *map(str, options)]) == 0
        return json.loads(max(tmp_path.glob("captions/run=*/manifest.json")).read_text())

    return run


@pytest.mark.usefixtures("colours")
def test_a_run_after_a_prune_captions_what_came_back_and_copies_outlive_what_they_were_copied_from(tmp_path, job):
    old, new, output = tmp_path / "old", tmp_path / "new", tmp_path / "captions"
    photos(old, 4)
    assert job(old)["counts"]["captioned"] == 4
    shutil.move(old, new)
    moved = job(new, "--rename_from", f"{old}/", "--rename_to", f"{new}/")
    assert moved["counts"]["skipped"] == moved["touched"] == 4
    names = sorted(path.name for path in new.iterdir())
    gone = new / names[0]
    back = gone.read_bytes()
    gone.unlink()
    write_report(str(output))
    assert main([str(output), "--missing", str(old), "--delete"]) == 0
    assert not traces(output, [str(gone), *(str(old / name) for name in names)])
    assert view(output)[0] == sorted(str(new / name) for name in names[1:])
    check_books(output)
    gone.write_bytes(back)
    counts = job(new)["counts"]
    assert (counts["captioned"], counts["skipped"]) == (1, 3)
    check_books(output)
