"""A run's folder, read back: what is not as the job writes it is named, and costs itself alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from beam_job.files.document import UnreadableError
from beam_job.runs.folder import CAPTIONS, FAILURES, open_run_folder, run_folders
from beam_job.runs.record_file import RecordFile, is_caption
from tests.closed_folders import closed
from tests.cloud import storage_emulator
from tests.earlier_runs import earlier_run

ROOT = Path(__file__).parents[3]
LINE = b'{"uri": "a", "caption": "A cat."}\n'


def records(path):
    file = RecordFile(str(path), is_caption)
    return [record["uri"] for record in file], file.passed_over, file.problem


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"   ",
        b'{"uri": "torn',
        b'{"uri": "torn{"uri": "b", "caption": "c"}',
        b"\xff\xfe",
        b"[]",
        b"5",
        b"null",
        b'"text"',
        b'{"caption": "no URI"}',
        b'{"uri": 5, "caption": "c"}',
        b'{"uri": "no caption"}',
        b'{"uri": "b", "caption": ["c"]}',
        b'{"uri": "b", "caption": "c", "score": NaN}',
        b'{"uri": "b", "caption": "c", "score": ' + b"1" * 5000 + b"}",
        b"[" * 200_000,
        b'{"a":' * 20_000,
        b'{"uri": "b", "caption": "' + b"c" * (4 << 20) + b'"}',
        b"\0" * 100,
    ],
    ids=lambda line: repr(line[:24]),
)
def test_lines_that_hold_no_record(tmp_path, line):
    path = tmp_path / "captions-1.jsonl"
    for data in (LINE + line + b"\n" + LINE, LINE + LINE + line + b"\n", line + b"\n" + LINE + LINE):
        path.write_bytes(data)
        place = data.split(b"\n").index(line) + 1
        assert records(path) == (["a", "a"], 1, f"1 of 3 lines contain no record; line {place} is the first.")
    path.write_bytes(LINE + line)  # the end of a file that was cut
    assert records(path)[:2] == (["a"], 1 if line else 0)


def test_files_that_are_none(tmp_path):
    path = tmp_path / "captions-1.jsonl"
    assert records(path) == ([], 1, "it is gone.")
    path.mkdir()
    assert records(path) == ([], 1, "it is not a regular file.")
    path.rmdir()
    os.mkfifo(path)
    assert records(path) == ([], 1, "it is not a regular file.")
    path.unlink()
    (tmp_path / "outside.jsonl").write_bytes(LINE)
    path.symlink_to(tmp_path / "outside.jsonl")
    assert records(path) == ([], 1, "it is not a regular file.")
    assert records(tmp_path / "outside.jsonl" / "captions-1.jsonl") == ([], 1, "it is gone.")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "captions-1.jsonl").touch(0)
    assert records(tmp_path / "captions-1.jsonl") == ([], 1, "it cannot be read: this account lacks permission.")


def test_of_a_killed_run_only_files_that_a_run_writes_count(tmp_path):
    run = earlier_run(tmp_path / "run=1", captions=["a"], finished=False)
    for name in (
        "captions-\u00e4.jsonl",
        "captions-a b.jsonl",
        f"captions-{'a' * 32}-pruned.jsonl",
        "captions-2.jsonl.tmp",
    ):
        (run / name).write_bytes(LINE)
    assert open_run_folder(str(run)).files(CAPTIONS) == {f"{run}/captions-1.jsonl": {}}


def test_that_the_files_of_a_killed_run_cannot_be_listed_is_said_once(tmp_path):
    folder = earlier_run(tmp_path / "run=1", captions=["a"], finished=False)
    run = open_run_folder(str(folder))
    with closed(folder, refused=["listdir"]):
        assert [run.files(kind) for kind in (CAPTIONS, FAILURES, CAPTIONS)] == [{}, {}, {}]
    assert run.problems == ["its files cannot be listed: this account lacks permission."]


def test_names_of_files_outside_a_run_are_not_followed(tmp_path):
    names = ["../../x", "/etc/passwd", "gs://other/captions-1.jsonl", "../run=2/captions-1.jsonl", "failures-1.jsonl"]
    names += [
        "",
        5,
        None,
        ["captions-1.jsonl"],
        "captions-1.jsonl/..",
        "captions-*.jsonl",
        "captions-é.jsonl",
        "captions-1.jsonl\n",
    ]
    entries = [{"name": name} for name in names] + ["captions-1.jsonl", None, {"name": "captions-1.jsonl"}] * 3
    run = open_run_folder(str(earlier_run(tmp_path / "run=1", captions=["a"])))
    run.about[CAPTIONS][:] = entries
    assert list(run.files(CAPTIONS)) == [f"{tmp_path}/run=1/captions-1.jsonl"]
    assert run.problems == [f"manifest.json names {len(names) + 6} files that a run does not write, such as '../../x'."]


DEEP = json.loads("[" * 30 + "]" * 30)


@pytest.mark.parametrize(
    "odd",
    [
        {"id": 5},
        {"id": "x" * 2000},
        {"model": None},
        {"model": "\ud800"},
        {"options": None},
        {"options": ["decoding"]},
        {"options": {"decoding": 5}},
        {"options": {"decoding": {"deep": DEEP}}},
        {"captions": None},
        {"captions": {"name": "captions-1.jsonl"}},
        {"failures": 5},
        {"counts": None},
        {"counts": {"captioned": "5"}},
        {"counts": {"captioned": -1}},
        {"counts": {"captioned": 1.5}},
        {"counts": {"captioned": True}},
        {"seconds": DEEP},
    ],
    ids=lambda odd: str(odd)[:40],
)
def test_a_manifest_that_is_none_leaves_what_the_run_wrote_at_its_start(tmp_path, odd):
    folder = earlier_run(tmp_path / "run=1", captions=["a"])
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **odd}))
    run = open_run_folder(str(folder))
    assert not run.finished
    assert list(run.files(CAPTIONS)) == [f"{folder}/captions-1.jsonl"]
    assert len(run.problems) == 1
    assert run.problems[0].startswith(("manifest.json does not belong to a run", "manifest.json is nested too deeply"))
    (folder / "run.json").write_text("5")
    with pytest.raises(UnreadableError, match=r"^manifest.json .*\. run.json is not a JSON object"):
        open_run_folder(str(folder))


def test_what_only_the_report_shows_is_left_out_where_it_is_odd(tmp_path):
    odd = {
        "seconds": "5",
        "devices": [5, "CPU"],
        "versions": {"python": "3", "beam": 5},
        "finished": 5,
        "more": DEEP[0],
    }
    odd |= {"counts": {"captioned": 5, "more": 6}}
    about = open_run_folder(str(earlier_run(tmp_path / "run=1", **{**odd, "more": 1}))).about
    assert "seconds" not in about
    assert "finished" not in about
    assert (about["devices"], about["versions"], about["counts"]) == (["CPU"], {"python": "3"}, {"captioned": 5})


def test_runs_are_found_whatever_stands_beside_them(tmp_path):
    first = earlier_run(tmp_path / "run=1")
    lost = earlier_run(tmp_path / "run=2 [copy]")
    (lost / "run.json").unlink()
    (tmp_path / "run=3").write_text("no folder")
    (tmp_path / "run=4").mkdir()
    (tmp_path / os.fsdecode(b"run=\xff")).mkdir()
    (tmp_path / os.fsdecode(b"run=\xff") / "run.json").write_text("{}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "run.json").write_text("{}")
    assert run_folders(str(tmp_path)) == [str(first), str(lost)]
    assert open_run_folder(str(lost)).finished


@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory of a process is read from /proc")
def test_huge_files_take_bounded_memory(tmp_path):
    folder = earlier_run(tmp_path / "run=1", captions=["a"])
    for name in ("manifest.json", "captions-1.jsonl"):  # holes, which take no place on the disk
        with (folder / name).open("r+b") as file:
            file.truncate(400 << 20)
    code = (
        "import sys; from beam_job.runs.folder import *; from beam_job.runs.record_file import *\n"
        "from tests.memory import peak\n"
        "before = peak(); run = open_run_folder(sys.argv[1]); (path,) = run.files(CAPTIONS)\n"
        "file = RecordFile(path, is_caption); print(len(list(file)), file.passed_over, peak() - before)"
    )
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    read, passed_over, megabytes = map(int, done.stdout.split())
    assert (read, passed_over) == (1, 1)
    assert megabytes < 200


def test_runs_on_cloud_storage():
    with storage_emulator() as client:
        bucket = client.bucket("bucket")
        about = {"id": "1", "model": "m", "options": {}, "counts": {}, "failures": []}
        about["captions"] = [{"name": f"captions-{number}.jsonl"} for number in (1, 2)]
        bucket.blob("out/run=1/manifest.json").upload_from_string(json.dumps(about))
        bucket.blob("out/run=1/captions-1.jsonl").upload_from_string(LINE + b"torn\n")
        bucket.blob("out/run=2/run.json").upload_from_string("torn")
        assert run_folders("gs://bucket/out") == ["gs://bucket/out/run=1", "gs://bucket/out/run=2"]
        present, gone = open_run_folder("gs://bucket/out/run=1").files(CAPTIONS)
        assert records(present) == (["a"], 1, "1 of 2 lines contain no record; line 2 is the first.")
        assert records(gone) == ([], 1, "it is gone.")
        with pytest.raises(UnreadableError, match=r"^run.json is not valid JSON"):
            open_run_folder("gs://bucket/out/run=2")
        with pytest.raises(UnreadableError, match=r"^there is neither manifest.json nor run.json"):
            open_run_folder("gs://bucket/out/run=3")
