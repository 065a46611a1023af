"""What stands in a run's manifest, and what is counted on the way."""

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from threading import Lock, Thread
from weakref import WeakSet

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp.gcsio import GcsIO

from beam_job import __version__
from beam_job.files.in_folder import files_in
from beam_job.files.whole import WriteError
from beam_job.metrics import count, counted
from beam_job.model.decoding import decoding_digest
from beam_job.runs import run as runs
from beam_job.runs import shards
from beam_job.runs.manifest import write_document
from beam_job.runs.run import MaxFailures, Moment, Run, TooManyFailuresError
from beam_job.runs.shards import OpenShard, Shard, ShardLimits, delete_orphans, write_open_shards
from tests.cloud import storage_emulator
from tests.memory import traced

BEGAN = Moment("a", 100.0, datetime(2026, 1, 2, 12, tzinfo=UTC))


def test_every_entry_of_a_manifest(tmp_path, monkeypatch):
    monkeypatch.setattr(Moment, "now", lambda: Moment("a", 102.26, datetime(2026, 1, 2, 13, tzinfo=UTC)))
    run = Run(str(tmp_path), "m", {"é": 1}, BEGAN, "1")
    run.start()
    asked = {"output": str(tmp_path), "model": "m", "decoding": decoding_digest({}), "options": {"é": 1}}
    asked |= {"started": "2026-01-02T12:00:00+00:00", "id": "1"}
    written = (tmp_path / "run=1" / "run.json").read_text()
    assert json.loads(written) == asked
    assert written == json.dumps(asked, indent=2, ensure_ascii=False) + "\n"
    captions = [
        Shard("captions-b.jsonl", 5, "2", {"CPU": 3, "changed": 1, "touched": 2}),
        Shard("captions-a.jsonl", 2, "1", {"T4": 1, "touched": 1}),
    ]
    failures = [
        Shard("failures-b.jsonl", 1, "4", {"fetch/not_found": 1}),
        Shard("failures-a.jsonl", 3, "3", {"fetch/not_found": 1, "decode/empty": 2, "known": 2}),
    ]
    manifest = run.finish([10, 10], [(1, 2, 2), (3, 3, 1)], captions, failures, [1, 2], [3, 4])
    assert manifest == {
        **asked,
        "finished": "2026-01-02T12:00:02+00:00",
        "seconds": 2.3,
        "counts": {"input": 20, "captioned": 4, "failed": 4, "skipped": 8, "duplicates": 4},
        "changed": 1,
        "touched": 3,
        "unversioned": 3,
        "left_out": 7,
        "failures_by_code": {"decode/empty": 2, "fetch/not_found": 2},
        "known_failures": 2,
        "passed_over": 3,
        "devices": ["CPU", "T4"],
        "versions": {
            "python": platform.python_version(),
            "beam_job": __version__,
            **{name: version(name) for name in ("apache-beam", "tensorflow", "pillow")},
        },
        "captions": [
            {"name": "captions-a.jsonl", "records": 2, "sha256": "1", "touched": 1},
            {"name": "captions-b.jsonl", "records": 5, "sha256": "2", "touched": 2},
        ],
        "failures": [
            {"name": "failures-a.jsonl", "records": 3, "sha256": "3", "known": 2},
            {"name": "failures-b.jsonl", "records": 1, "sha256": "4", "known": 0},
        ],
    }
    assert list(manifest["failures_by_code"]) == ["decode/empty", "fetch/not_found"]
    assert json.loads((tmp_path / "run=1" / "manifest.json").read_text()) == manifest


def test_a_document_of_many_files_is_in_memory_once(tmp_path):
    names = [
        {"name": f"captions-{number:032}.jsonl", "records": 1, "sha256": f"{number:064}"} for number in range(10_000)
    ]
    with traced() as most:
        write_document(str(tmp_path), "manifest.json", {"captions": names})
        assert most() < 1.5 * (tmp_path / "manifest.json").stat().st_size
    assert json.loads((tmp_path / "manifest.json").read_text()) == {"captions": names}


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=rf"^--output {tmp_path}/file: cannot be written \("):
        Run(f"{tmp_path}/file", "m", {}).start()


def test_how_many_failures_are_accepted(tmp_path):
    assert MaxFailures.parse("0").of(5) == 0
    assert MaxFailures.parse("100%") == MaxFailures.parse("1.0") == MaxFailures(1.0, True)
    assert MaxFailures.parse("0%").of(9) == MaxFailures.parse("0.0").of(9) == 0
    manifest = {"counts": {"captioned": 6, "failed": 5, "skipped": 90}, "known_failures": 1}
    for text in (None, "4", "40%", "0.4"):
        Run(str(tmp_path), "m", {"max_failures": text}).check_failures(manifest)
    Run(str(tmp_path), "m", {}).check_failures(manifest)
    for text in ("3", "39%", "0.39"):
        message = rf"^4 of 10 images failed \(not counting 1 known failure\), more than --max_failures {text} allows\.$"
        with pytest.raises(TooManyFailuresError, match=message):
            Run(str(tmp_path), "m", {"max_failures": text}).check_failures(manifest)


def test_a_machine_without_a_boot_id_goes_by_its_name(tmp_path, monkeypatch):
    assert Moment.now().machine == Moment.now().machine
    monkeypatch.setattr(runs, "_BOOT_ID", tmp_path / "none")
    assert Moment.now().machine == platform.node()
    assert Moment.now().wall.tzinfo is UTC


def test_images_are_counted_while_the_run_goes_on():
    before = counted().get("test", 0)
    count("test")
    count("test")
    assert counted()["test"] == before + 2


class Line:
    summary_keys = ("x",)

    def __init__(self, text="é"):
        self._text = text

    def to_json(self, run):
        return f"{self._text} of {run}"


def test_a_file_of_records_is_what_its_shard_says(tmp_path):
    directory = str(tmp_path / "run=7")
    (tmp_path / "run=7").mkdir()
    before = counted().get("captions", 0)
    shard = OpenShard(directory, "captions")
    assert shard.add(Line(), ShardLimits()) is None
    assert shard.add(Line("\ud800"), ShardLimits()) is None
    written = shard.close()
    (path,) = (tmp_path / "run=7").iterdir()
    assert path.read_text() == "é of 7\n\\ud800 of 7\n"
    assert (written.name, written.records, written.counts) == (path.name, 2, {"x": 2})
    assert written.sha256 == shards.hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name.startswith("captions-")
    assert counted()["captions"] == before + 2
    assert shard.close() is None


def test_when_a_process_ends_its_open_files_are_written_and_nothing_more_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_OPEN", WeakSet())
    monkeypatch.setattr(shards, "_OPEN_LOCK", Lock())
    first, second, lost, empty, closed = (
        OpenShard(str(tmp_path / folder), "captions") for folder in ("", "", "none", "", "")
    )
    for shard in (first, second, lost, closed):
        shard.add(Line(), ShardLimits())
    closed.close()
    with pytest.raises(WriteError, match="/none/captions-"):
        write_open_shards()
    assert len(list(tmp_path.iterdir())) == 3
    late = Thread(target=first.add, args=(Line(), ShardLimits(records=1)), daemon=True)
    late.start()
    late.join(0.05)
    assert late.is_alive()  # whether it waits or has not begun: it ends when the locks are free
    assert empty._lock.locked()
    assert not closed._lock.locked()
    assert len(list(tmp_path.iterdir())) == 3
    for lock in (first._lock, shards._OPEN_LOCK):
        lock.release()
    late.join(300)
    assert not late.is_alive()
    assert len(list(tmp_path.iterdir())) == 4


def test_only_the_orphans_of_one_run_and_kind_are_deleted(tmp_path, caplog):
    with storage_emulator() as client:
        bucket = client.bucket("bucket")
        for place in (f"{tmp_path}/[a]*", "gs://bucket/[a]*"):
            run = f"{place}/run=1"
            names = ["captions-1.jsonl", "captions-2.jsonl", "failures-3.jsonl"]
            for name in names:
                if place.startswith("gs:"):
                    bucket.blob(f"[a]*/run=1/{name}").upload_from_string("")
                else:
                    (tmp_path / "[a]*" / "run=1").mkdir(parents=True, exist_ok=True)
                    (tmp_path / "[a]*" / "run=1" / name).write_text("")
            delete_orphans(run, "captions", {"captions-1.jsonl"})
            left = [FileSystems.split(path)[1] for path in files_in(run, "*")]
            assert left == ["captions-1.jsonl", "failures-3.jsonl"]
            assert files_in(place, "run=*", "captions-*.jsonl") == [f"{run}/captions-1.jsonl"]
    assert "Cannot delete" not in caplog.text


def test_a_bucket_that_cannot_be_reached_keeps_its_orphans(tmp_path, caplog, monkeypatch):
    paths = ["gs://b/run=1/captions-1.jsonl", "gs://b/run=1/captions-2.jsonl"]
    monkeypatch.setattr(shards, "files_in", lambda *_: paths)

    def broken(storage, paths):
        raise RuntimeError("the network is down")

    monkeypatch.setattr(GcsIO, "delete_batch", broken)
    delete_orphans("gs://b/run=1", "captions", set())
    assert "gs://b/run=1/captions-1.jsonl (the network is down), and 1 more." in caplog.text
