"""A folder of runs as people look at it: which captions and failures it has."""

import json
import logging

import pytest

from beam_job.model.decoding import decoding_digest
from beam_job.runs.archive import ArchiveError, open_archive
from beam_job.runs.current import current_runs
from beam_job.runs.folder import FAILURES
from beam_job.runs.output_folder import OutputFolder
from beam_job.runs.record_file import RecordFile, is_failure
from tests.earlier_runs import DECODING, earlier_run

OTHER = DECODING | {"beam_width": 2}


def add(run, *records, kind="captions"):
    """More records in the file of a run."""
    with (run / f"{kind}-1.jsonl").open("a") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def test_the_current_captions_of_an_archive(tmp_path, caplog):
    earlier_run(tmp_path / "run=1", captions=["a", "b", "c"])
    newest = earlier_run(tmp_path / "run=2", captions=["b"])
    earlier_run(tmp_path / "run=3", captions=["c"], decoding=OTHER, finished=False)
    whole = {"uri": "d", "caption": "A dog.", "score": -1}
    add(newest, whole, {**whole, "uri": "e", "score": None}, {**whole, "uri": "f", "caption": "\ud800"})
    add(
        newest, {**whole, "uri": "\ud800"}, {**whole, "uri": "g", "deep": json.loads("[" * 17 + "]" * 17)}, {"uri": "h"}
    )
    archive = open_archive(tmp_path.as_uri())
    assert (archive.output, archive.model, archive.decoding) == (str(tmp_path), "m", decoding_digest(DECODING))
    assert [run.id for run in archive.runs] == ["2", "1"]
    assert archive.reviews.rows == []
    with caplog.at_level(logging.WARNING):
        found = [(record["uri"], record["run"]) for record in archive.captions()]
    assert found == [("b", "2"), ("d", "2"), ("a", "1"), ("c", "1")]
    assert "Passed over: " in caplog.text
    assert "5 of 7 lines contain no record; line 3 is the first." in caplog.text
    assert [record["uri"] for record in archive.captions()] == ["b", "d", "a", "c"]  # again


def test_a_folder_that_is_no_archive(tmp_path, monkeypatch):
    with pytest.raises(ArchiveError, match="there is no run here"):
        open_archive(str(tmp_path))
    with pytest.raises(ArchiveError, match=r"^file://host/x: cannot be read \(A local file's URI is file:///PATH"):
        open_archive("file://host/x")


def failures(run, kind):
    for path in run.files(kind):
        yield from RecordFile(path, is_failure)
    run.problems.append("odd.")


def test_failures_of_images_without_a_caption(tmp_path):
    gone = ("fetch", "not_found")
    earlier_run(tmp_path / "run=1", captions=["a"], failures=[("b", *gone), ("c", *gone), ("a", *gone)], seconds=5)
    earlier_run(tmp_path / "run=2", captions=["c"], failures=[("b", "decode", "corrupt")], seconds=6)
    folder = OutputFolder(str(tmp_path), current_runs(str(tmp_path)))
    assert folder.finished
    about = folder.about
    assert (about["runs"], about["started"], about["model"]) == (2, "2026-01-02T03:04:05+00:00", "m")
    assert not {"id", "counts", "seconds"} & about.keys()
    read = [
        record["uri"] for record in folder.read("captions", lambda run, kind: iter([{"uri": run.id}, {"uri": "a"}]))
    ]
    assert read == ["2", "a", "1"]
    assert [(record["uri"], record["error"]) for record in folder.read(FAILURES, failures)] == [
        ("b", "corrupt"),
        ("c", "not_found"),
    ]
    assert folder.problems == ["run=2/odd.", "run=1/odd."]
    assert folder.runs[0].problems == []


def test_an_archive_whose_newest_run_goes_on(tmp_path):
    earlier_run(tmp_path / "run=1", captions=["a"])
    earlier_run(tmp_path / "run=2", captions=["b"], finished=False)
    assert not OutputFolder(str(tmp_path), current_runs(str(tmp_path))).finished
    assert [run.id for run in current_runs(str(tmp_path), "m", "1")] == ["2", "1"]
