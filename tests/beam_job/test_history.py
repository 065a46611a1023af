"""The same command again: only what is new is captioned."""

import json

import pytest

from beam_job.cli import main
from beam_job.history import caption_files, captioned_uris, earlier_runs
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


def test_only_what_is_new(tmp_path, models):
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


def earlier(folder, started, manifest=None, **files):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(started if isinstance(started, str) else json.dumps(started))
    if manifest is not None:
        (folder / "manifest.json").write_text(json.dumps({"captions": [{"name": name} for name in manifest]}))
    for name, uris in files.items():
        (folder / f"captions-{name}.jsonl").write_text("".join(f'{{"uri": "{uri}"}}\n' for uri in uris))
    return str(folder)


def test_files_of_earlier_runs(tmp_path):
    from dataclasses import asdict

    from beam_job.decoding import Decoding

    decoding = asdict(Decoding())
    started = {"model": "m", "options": {"decoding": decoding}}
    ended = earlier(tmp_path / "run=1", started, ["captions-a.jsonl"], a=["x"], stray=["x"])
    killed = earlier(tmp_path / "run=2", started, a=["y"], b=["z"])
    older = earlier(tmp_path / "run=3", {"model": "m", "options": {"decoding": {}}}, a=["o"])
    other = earlier(tmp_path / "run=4", {**started, "model": "n"}, a=["x"])
    torn = earlier(tmp_path / "run=5", '{"mod', a=["x"])
    earlier(tmp_path / "run=now", started)
    assert earlier_runs(str(tmp_path), "now") == [ended, killed, older, other, torn]
    assert caption_files(ended, "m", decoding) == [f"{ended}/captions-a.jsonl"]
    assert caption_files(killed, "m", decoding) == [f"{killed}/captions-a.jsonl", f"{killed}/captions-b.jsonl"]
    assert caption_files(older, "m", decoding) == [f"{older}/captions-a.jsonl"]
    assert caption_files(ended, "m", {**decoding, "beam_width": 9}) == []
    assert caption_files(other, "m", decoding) == caption_files(torn, "m", decoding) == []
    assert list(captioned_uris(f"{ended}/captions-a.jsonl")) == [("x", True)]
    assert list(captioned_uris(f"{ended}/captions-gone.jsonl")) == []
