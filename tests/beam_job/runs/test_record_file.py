"""Files of records, read line by line: where each line stands, and how long it may be."""

import json

import pytest

from beam_job.files.document import UnreadableError
from beam_job.runs import record_file
from beam_job.runs.folder import open_run_folder
from beam_job.runs.record_file import RecordFile, ReplacedError, is_caption, is_failure
from tests.earlier_runs import earlier_run


def line(uri, caption="A cat."):
    return json.dumps({"uri": uri, "caption": caption}).encode()


def read(path):
    """Each record's URI with its place, and what was passed over."""
    file = RecordFile(str(path), is_caption)
    return [(record["uri"], file.place, file.lines) for record in file], file.passed_over, file.problem


def test_each_record_stands_where_its_place_says(tmp_path):
    path = tmp_path / "captions-1.jsonl"
    lines = [line("a"), b"torn", line("é", "x" * 3_000_000), b"", line("b"), line("the end is missing")]
    path.write_bytes(b"\n".join(lines))
    found, passed_over, problem = read(path)
    assert [uri for uri, _, _ in found] == ["a", "é", "b", "the end is missing"]
    assert [number for _, _, number in found] == [1, 3, 5, 6]
    data = path.read_bytes()
    for uri, (first, length), _ in found:
        assert json.loads(data[first : first + length])["uri"] == uri
    assert (passed_over, problem) == (2, "2 of 6 lines contain no record; line 2 is the first.")


@pytest.mark.parametrize("end", [b"\n", b""])
def test_the_longest_line_is_read_and_the_next_longer_one_is_not(tmp_path, monkeypatch, end):
    monkeypatch.setattr(record_file, "_CHUNK_BYTES", 7)
    monkeypatch.setattr(record_file, "_LINE_BYTES", 60)
    short = line("a")
    longest = line("b", "x" * (60 - len(line("b", ""))))
    for odd in (line("b", "x" * (61 - len(line("b", "")))), b"x" * 200, b"x" * 67):
        path = tmp_path / "captions-1.jsonl"
        path.write_bytes(b"\n".join([short, longest, odd, longest, short, odd]) + end)
        found, passed_over, _ = read(path)
        assert [uri for uri, _, _ in found] == ["a", "b", "b", "a"]
        assert passed_over == 2
        data = path.read_bytes()
        assert [data[first : first + length] for _, (first, length), _ in found] == [short, longest, longest, short]


@pytest.mark.parametrize(
    ("about", "said"), [({}, "was replaced at the end of its run"), ({"pruned": [{}]}, "was pruned")]
)
def test_a_file_that_its_run_no_longer_names_was_replaced(tmp_path, about, said):
    run = earlier_run(tmp_path / "run=1", captions=["a"], **about)
    with pytest.raises(ReplacedError) as caught:
        read(run / "captions-0.jsonl")
    assert str(caught.value) == f"{run}/captions-0.jsonl {said} while it was read; start again."
    (run / "captions-1.jsonl").unlink()
    assert read(run / "captions-1.jsonl") == ([], 1, "it is gone.")


def test_every_byte_of_a_file_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(record_file, "_CHUNK_BYTES", 7)
    path = tmp_path / "captions-1.jsonl"
    path.write_bytes(line("a") + b"\n" + line("b"))
    seen = []
    assert len(list(RecordFile(str(path), is_caption, seen.append))) == 2
    assert b"".join(seen) == path.read_bytes()


def test_a_file_that_ends_early_costs_what_is_missing_alone(tmp_path, monkeypatch):
    """As where a link to a storage breaks: the records before it count."""
    path = tmp_path / "captions-1.jsonl"
    path.write_bytes(line("a") + b"\n")

    def breaks(path, seen):
        yield 0, line("a")
        yield 1, b"torn"
        raise UnreadableError("is gone")

    monkeypatch.setattr(record_file, "record_lines", breaks)
    assert read(path) == ([("a", (0, len(line("a"))), 1)], 2, "it is gone.")


def test_what_a_finished_run_says_of_itself(tmp_path):
    more = {"seconds": 5.5, "devices": ["CPU"] * 20, "versions": {"python": "3"}, "odd": 1}
    counts = {"input": 9, "captioned": 5, "failed": 1, "skipped": 2, "duplicates": 1, "more": 7}
    run = open_run_folder(str(earlier_run(tmp_path / "run=1", captions=["a"], counts=counts, **more)))
    assert run.finished
    assert run.id == "1"
    assert run.problems == []
    entry = run.about["captions"][0]
    assert run.files("captions") == {f"{tmp_path}/run=1/captions-1.jsonl": entry}
    assert run.about == {
        "started": "2026-01-02T03:04:05+00:00",
        "id": "1",
        "model": "m",
        "options": run.about["options"],
        "captions": [entry],
        "failures": run.about["failures"],
        "counts": {"input": 9, "captioned": 5, "failed": 1, "skipped": 2, "duplicates": 1},
        "seconds": 5.5,
        "devices": ["CPU"] * 16,
        "versions": {"python": "3"},
    }
    assert run.settings == ("m", run.about["options"]["decoding"])


def test_a_run_without_options_of_decoding_had_the_defaults(tmp_path):
    (tmp_path / "run=1").mkdir()
    (tmp_path / "run=1" / "run.json").write_text('{"id": "1", "model": "m", "options": {}}')
    run = open_run_folder(f"{tmp_path}/run=1")
    assert run.settings[1]["strategy"] == "beam"
    assert not run.finished
    assert run.files("captions") == {}


def test_a_failure_says_which_image_and_how():
    whole = {"uri": "a", "stage": "fetch", "error": "not_found"}
    assert is_failure(whole)
    for name in whole:
        assert not is_failure({**whole, name: None})
