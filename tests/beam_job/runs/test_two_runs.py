"""Two runs into one folder at once: neither touches the other's files, and what both captioned counts once."""

import json
from collections import Counter

import pytest

from beam_job.cli import main
from beam_job.runs.archive import open_archive
from tests.processes import many_photos, records, start, wait_for
from tests.tiny_model import write_tiny_model


@pytest.mark.usefixtures("colours")
def test_two_runs_at_once(tmp_path, capsys, python):
    """One in another process has captioned four of twelve images, and is at it when a second one comes and goes."""
    write_tiny_model(tmp_path / "model")
    uris = sorted(map(str, many_photos(tmp_path / "photos", 12)))
    output, go = tmp_path / "out", tmp_path / "go"
    argv = ["--images", f"{tmp_path}/photos/*.jpg", "--model", tmp_path / "model", "--output", output]
    argv += ["--batch_size", "4", "--shard_records", "4"]

    def job():
        assert main(list(map(str, argv))) == 0
        return capsys.readouterr().err

    stay = {"STAY_AFTER": "4", "STAY_UNTIL": str(go)}
    first = start("tests.recorded_job", tmp_path / "first", 0, *argv, environment=stay, python=python)
    wait_for(tmp_path / "first", first)
    (run_of_the_first,) = output.glob("run=*")
    err = job()
    assert "12 images: 8 captioned, 0 failed, 4 skipped" in err or "12 images: 12 captioned" in err
    assert first.poll() is None
    go.touch()
    _, err = first.communicate()
    assert (first.returncode, "12 images: 12 captioned, 0 failed, 0 skipped" in err) == (0, True), err

    for run in output.glob("run=*"):
        manifest = json.loads((run / "manifest.json").read_text())
        rows = [line for path in run.glob("captions-*.jsonl") for line in path.read_text().splitlines()]
        assert len(rows) == manifest["counts"]["captioned"]
        assert {file["name"] for file in manifest["captions"]} == {path.name for path in run.glob("captions-*.jsonl")}
    assert {record["uri"] for record in records(output)} == set(uris)
    found = Counter(record["uri"] for record in open_archive(str(output)).captions())
    assert found == dict.fromkeys(uris, 1)
    assert "12 images: 0 captioned, 0 failed, 12 skipped" in job()
    assert run_of_the_first in output.glob("run=*")
