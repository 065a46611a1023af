"""A prune of a folder that others change meanwhile: other prunes, runs, reviews, or somebody's hand."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from beam_job.files import switch
from beam_job.prune import prune
from beam_job.prune.books import open_books
from beam_job.prune.command import main
from tests.archives import FIRST, KILLED, content, named, traces, view, without

MEANWHILE = {
    "reviews": lambda output: (output / "reviews" / "reviews-3.jsonl").write_text(""),
    "a review by hand": lambda output: (output / "reviews" / "reviews-1.jsonl").write_text(""),
    "a report": lambda output: (output / "report.html").write_text("another"),
    "a run": lambda output: (
        (output / "run=2027").mkdir(exist_ok=True) or (output / "run=2027" / "run.json").write_text("{}")
    ),
    "a late file": lambda output: (output / f"run={KILLED}" / f"captions-{'d' * 32}.jsonl").write_text(""),
    "a late end": lambda output: shutil.copy(output / f"run={FIRST}" / "manifest.json", output / f"run={KILLED}"),
    "a manifest": lambda output: (output / f"run={FIRST}" / "manifest.json").write_text("{}"),
}


@pytest.mark.parametrize("change", MEANWHILE.values(), ids=MEANWHILE)
def test_whoever_writes_into_the_folder_meanwhile_stops_the_prune(
    tmp_path, photos, output, monkeypatch, capsys, change
):
    arguments = [str(output), "--uris", str(named(tmp_path, [photos[0]])), "--killed", KILLED, "--delete"]
    rewrite, without = prune.rewrite, prune.without
    monkeypatch.setattr(prune, "rewrite", lambda *args: (change(output), rewrite(*args))[1])
    if change is MEANWHILE["a review by hand"]:  # its file is read after those of captions
        monkeypatch.setattr(prune, "rewrite", rewrite)
        monkeypatch.setattr(prune, "without", lambda *args: (change(output), without(*args))[1])
    alone = Path(shutil.copytree(output, tmp_path / "alone"))
    change(alone)
    assert main(arguments) == 1
    assert "written meanwhile. Nothing was removed; start again." in capsys.readouterr().err
    (output / "prune.json").unlink()
    found, expected = content(output), content(alone)
    assert {path.relative_to(output): data for path, data in found.items()} == {
        path.relative_to(alone): data for path, data in expected.items()
    }


def test_of_two_prunes_the_later_one_goes_on(tmp_path, photos, output, monkeypatch, capsys):
    arguments = [str(output), "--uris", str(named(tmp_path, [photos[0]])), "--killed", KILLED, "--delete"]
    stage = prune.rewrite
    with monkeypatch.context() as patches:
        patches.setattr(
            prune, "rewrite", lambda *args: (switch.begin(str(output), "20270101T000000Z-0"), stage(*args))[1]
        )
        assert main(arguments) == 1
    assert "Another prune" in capsys.readouterr().err
    assert traces(output, [str(photos[0])])
    assert main(arguments) == 0
    assert not traces(output, [str(photos[0])])


def test_a_prune_that_finds_nothing_takes_no_files_from_one_that_is_still_writing(
    tmp_path, photos, output, monkeypatch, capsys
):
    before, rewrite, nightly = view(output), prune.rewrite, []

    def interrupted(*args):
        written = rewrite(*args)
        if not nightly:
            nightly.append(main([str(output), "--delete", "--killed", KILLED]))
        return written

    arguments = [str(output), "--uris", str(named(tmp_path, [photos[0]])), "--killed", KILLED, "--delete"]
    with monkeypatch.context() as patches:
        patches.setattr(prune, "rewrite", interrupted)
        assert main(arguments) == 1
    assert nightly == [0]
    assert "Nothing was removed; start again." in capsys.readouterr().err
    assert view(output) == before
    assert main(arguments) == 0
    assert view(output) == without(before, [str(photos[0])])


def test_a_prune_that_finds_nothing_takes_no_files_from_one_that_came_meanwhile(tmp_path, photos, output):
    before, books = view(output), open_books(str(output))[0]
    arguments = [str(output), "--uris", str(named(tmp_path, [photos[0]])), "--killed", KILLED, "--delete"]
    assert main(arguments) == 0
    with pytest.raises(prune.ChangedError):
        prune.clear(str(output), books, datetime.now(UTC))
    assert view(output) == without(before, [str(photos[0])])


@pytest.mark.parametrize("lost", ["captions-*-pruned.jsonl", "*.pruned"])
def test_a_prune_whose_new_files_are_gone_removes_nothing(tmp_path, photos, output, monkeypatch, capsys, lost):
    before, is_unchanged = view(output), prune._Staging.is_unchanged

    def after_staging(staging):
        for path in output.rglob(lost):
            path.unlink()
        return is_unchanged(staging)

    monkeypatch.setattr(prune._Staging, "is_unchanged", after_staging)
    arguments = [str(output), "--uris", str(named(tmp_path, [photos[0]])), "--killed", KILLED, "--delete"]
    assert main(arguments) == 1
    assert "Nothing was removed; start again." in capsys.readouterr().err
    assert view(output) == before
