"""The counts of a run, its files, and what its options make of them."""

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from apache_beam.io.filesystems import FileSystems
from gcp_storage_emulator.handlers import objects

from beam_job.cli import main
from beam_job.files.in_folder import files_in
from beam_job.files.whole import write_whole
from beam_job.records import Failure
from beam_job.runs.manifest import UnbalancedError
from beam_job.runs.run import MaxFailures, Moment, Run, TooManyFailuresError, new_id
from beam_job.runs.shards import Shard, ShardLimits, WriteShards, delete_orphans
from tests.cloud import storage_emulator
from tests.photos import photos
from tests.tiny_model import write_tiny_model


@pytest.fixture
def run(tmp_path):
    run = Run(str(tmp_path), "m", {"decoding": {}, "max_failures": "2"})
    run.start()
    return run


CAPTIONS = [Shard("captions-b.jsonl", 3, "2", {"CPU": 3}), Shard("captions-a.jsonl", 4, "1", {"T4": 4})]
FAILURES = [Shard("failures-a.jsonl", 2, "3", {"fetch/not_found": 1, "decode/empty": 1})]


def test_the_counts_add_up(run, tmp_path):
    manifest = run.finish([10, 6], [(2, 0, 0), (1, 4, 3)], CAPTIONS, FAILURES)
    assert manifest["counts"] == {"input": 16, "captioned": 7, "failed": 2, "skipped": 4, "duplicates": 3}
    assert manifest["failures_by_code"] == {"decode/empty": 1, "fetch/not_found": 1}
    assert manifest["devices"] == ["CPU", "T4"]
    assert manifest["captions"][0] == {"name": "captions-a.jsonl", "records": 4, "sha256": "1", "touched": 0}
    assert manifest["failures"][0] == {"name": "failures-a.jsonl", "records": 2, "sha256": "3", "known": 0}
    assert (manifest["known_failures"], manifest["passed_over"], manifest["unversioned"]) == (0, 0, 3)
    assert json.loads((tmp_path / f"run={run.id}" / "manifest.json").read_text()) == manifest


@pytest.mark.parametrize("read", [15, 17])
def test_what_does_not_add_up_leaves_no_manifest(run, tmp_path, read):
    with pytest.raises(UnbalancedError, match="are inconsistent"):
        run.finish([read], [(3, 4, 0)], CAPTIONS, FAILURES)
    assert not (tmp_path / f"run={run.id}" / "manifest.json").exists()


def test_a_run_that_a_prune_took_for_a_killed_one_gets_no_manifest(run, tmp_path):
    folder = tmp_path / f"run={run.id}"
    said = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**said, "pruned": [{"id": "1"}]}))
    with pytest.raises(UnbalancedError, match=f"Run {run.id} was pruned while it went on"):
        run.finish([16], [(3, 4, 0)], CAPTIONS, FAILURES)
    assert not (folder / "manifest.json").exists()


def test_files_of_bundles_that_were_tried_again_are_deleted(run, tmp_path):
    folder = tmp_path / f"run={run.id}"
    for name in (
        "captions-a.jsonl",
        "captions-b.jsonl",
        "captions-c.jsonl",
        "failures-a.jsonl",
        "captions-d.jsonl.tmp",
    ):
        (folder / name).write_text("")
    run.finish([9], [], CAPTIONS, FAILURES)
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["captions-a.jsonl", "captions-b.jsonl", "failures-a.jsonl", "manifest.json", "run.json"]


def finish_beside_orphans(run, caplog):
    """Finishes a run whose folder holds two files that its manifest does not name; returns its only warning."""
    folder = FileSystems.join(run.output, f"run={run.id}")
    names = ["captions-a.jsonl", "captions-stray.jsonl", "failures-stray.jsonl", "captions-b.jsonl"]
    for name in names:
        write_whole(FileSystems.join(folder, name), b"{}\n")
    caplog.clear()
    manifest = run.finish([7], [], CAPTIONS, [])
    assert manifest["counts"]["captioned"] == 7
    assert FileSystems.exists(FileSystems.join(folder, "manifest.json"))
    assert sorted(FileSystems.split(path)[1] for path in files_in(folder, "*.jsonl")) == sorted(names)
    return [record.getMessage() for record in caplog.records if record.name == "root"]


def test_a_run_is_good_whose_account_may_not_delete(run, caplog, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.remove", refuse)
    warnings = finish_beside_orphans(run, caplog)
    assert len(warnings) == 2
    assert "captions-stray.jsonl ([Errno 13] Permission denied" in warnings[0]


def test_a_run_is_good_whose_bucket_keeps_its_objects(caplog, monkeypatch):
    def refuse(response, *_):
        objects._batch_write_json(response, "HTTP/1.1 403 Forbidden", {"error": {"code": 403}})

    monkeypatch.setattr(objects, "_delete", lambda *_: False)
    monkeypatch.setattr(objects, "_batch_write_not_found", refuse)
    with storage_emulator():
        run = Run("gs://bucket/out", "m", {})
        run.start()
        warnings = finish_beside_orphans(run, caplog)
    assert len(warnings) == 2
    assert "captions-stray.jsonl (HTTP status 403), and 0 more." in warnings[0]


def test_a_run_is_good_whose_account_may_not_list(caplog):
    with storage_emulator():
        delete_orphans("gs://missing/out/run=1", "captions", set())
    assert "gs://missing/out/run=1 cannot be listed" in caplog.text


@pytest.mark.parametrize(
    ("began", "ended", "seconds"),
    [
        (("a", 100.0, 12), ("a", 107.5, 11), 7.5),  # the time of day was set back meanwhile
        (("a", 100.0, 12), ("a", 107.5, 13), 7.5),
        (("a", 100.0, 12), ("b", 3.0, 13), 3600),  # another machine's steady clock says nothing
        (("a", 100.0, 12), ("b", 3.0, 11), 0),
    ],
)
def test_a_run_is_measured_by_one_clock(tmp_path, monkeypatch, began, ended, seconds):
    def moment(machine, steady, hour):
        return Moment(machine, steady, datetime(2026, 1, 2, hour, tzinfo=UTC))

    run = Run(str(tmp_path), "m", {}, moment(*began))
    run.start()
    monkeypatch.setattr(Moment, "now", lambda: moment(*ended))
    manifest = run.finish([0], [], [], [])
    assert manifest["seconds"] == seconds
    assert manifest["started"] == "2026-01-02T12:00:00+00:00"
    assert datetime.fromisoformat(manifest["finished"]) == run.began.wall + timedelta(seconds=int(seconds))


def test_processes_of_a_machine_share_a_steady_clock(python):
    code = "from beam_job.runs.run import Moment; moment = Moment.now(); print(moment.steady, moment.machine)"
    before = Moment.now()
    printed = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout
    steady, _, machine = printed.partition(" ")
    assert machine.strip() == before.machine.strip()
    assert before.steady <= float(steady) <= Moment.now().steady


def test_too_many_failures(run):
    more = [*FAILURES, Shard("failures-b.jsonl", 1, "4", {"fetch/not_found": 1})]
    run.check_failures(run.finish([9], [], CAPTIONS, FAILURES))
    manifest = run.finish([10], [], CAPTIONS, more)
    with pytest.raises(TooManyFailuresError, match="3 of 10 images failed, more than --max_failures 2"):
        run.check_failures(manifest)


def test_failures_that_are_known_neither_count_nor_dilute_those_that_are_new(tmp_path):
    def check(captioned, codes):
        run = Run(str(tmp_path), "m", {"decoding": {}, "max_failures": "50%"})
        captions = [Shard("captions-a.jsonl", captioned, "1", {"CPU": captioned})]
        failures = [Shard("failures-a.jsonl", sum(codes.values()) - codes["known"], "2", codes)]
        run.start()
        manifest = run.finish([captioned + failures[0].records], [], captions, failures)
        assert manifest["known_failures"] == codes["known"]
        assert "known" not in manifest["failures_by_code"]
        run.check_failures(manifest)

    check(0, {"decode/corrupt": 3, "known": 3})
    check(1, {"decode/corrupt": 4, "known": 3})
    with pytest.raises(
        TooManyFailuresError, match=r"1 of 1 image failed \(not counting 98 known failures\), more than"
    ):
        check(0, {"decode/corrupt": 90, "decode/empty": 9, "known": 98})


@pytest.mark.parametrize(("text", "tried", "limit"), [("7", 1, 7), ("0", 9, 0), ("5%", 200, 10), ("0.05", 200, 10)])
def test_max_failures(text, tried, limit):
    assert MaxFailures.parse(text).of(tried) == pytest.approx(limit)


@pytest.mark.parametrize("text", ["", "-1", "101%", "-1%", "nan%", "inf%", "1.5", "many", "%", "nan", "0.x"])
def test_max_failures_that_make_no_sense(text):
    with pytest.raises(ValueError, match=f"^--max_failures {text}: choose"):
        MaxFailures.parse(text)


def test_files_are_closed_by_number_and_by_time(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr("beam_job.runs.shards.time.monotonic", lambda: now)
    writer = WriteShards(str(tmp_path), "failures", ShardLimits(records=3, seconds=10))
    writer.start_bundle()
    failure = Failure("x", "fetch", "not_found", "gone")
    assert [len(list(writer.process(failure))) for _ in range(7)] == [0, 0, 1, 0, 0, 1, 0]
    now = 9.9
    assert list(writer.process(failure)) == []
    now = 10.0
    (shard,) = writer.process(failure)
    assert (shard.records, shard.counts) == (3, {"fetch/not_found": 3})
    assert list(writer.finish_bundle()) == []
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.usefixtures("colours")
def test_fields_are_carried_to_captions_and_failures(tmp_path, capsys):
    write_tiny_model(tmp_path / "model")
    (good,) = photos(tmp_path / "photos", 1)
    (tmp_path / "list.csv").write_text(f"id,url,album,x\n7,{good},pets,-\n8,{tmp_path}/none.jpg,cars,-\n9,,,\n")
    (tmp_path / "list.jsonl").write_text(f'{{"url": "{good}", "id": 7}}\n')
    argv = ["--uris", str(tmp_path / "list.csv"), "--uri_field", "url", "--output", str(tmp_path / "out")]
    argv += ["--model", str(tmp_path / "model"), "--carry", "id,album", "--max_failures", "0.5"]
    assert main(argv) == 3
    assert "2 of 3 images failed, more than --max_failures 0.5 allows." in capsys.readouterr().err
    (folder,) = (tmp_path / "out").iterdir()
    caption, missing, bad = (
        json.loads(line)
        for kind in ("captions", "failures")
        for path in folder.glob(f"{kind}-*")
        for line in sorted(path.read_text().splitlines(), key=lambda line: "bad_row" in line)
    )
    assert (caption["uri"], caption["id"], caption["album"]) == (str(good), "7", "pets")
    assert (missing["error"], missing["id"], missing["album"]) == ("not_found", "8", "cars")
    assert (bad["stage"], bad["error"], bad["uri"]) == ("list", "bad_row", f"{tmp_path}/list.csv#4")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--carry", "id,caption"], "--carry caption: the records already have a field of this name"),
        (["--max_failures", "1.5"], "--max_failures 1.5: choose"),
        (["--shard_records", "0"], "--shard_records 0: choose 1 or more"),
        (["--shard_seconds", "0"], "--shard_seconds 0.0: choose a number above 0"),
        (["--fetch_deadline", "-1"], "--fetch_deadline -1.0: choose a number above 0"),
        (["--fetch_deadline", "inf"], "--fetch_deadline inf: choose at most 86400, a day"),
        (["--fetch_deadline", "nan"], "--fetch_deadline nan: choose a number above 0"),
        (["--max_bytes", "0"], "--max_bytes 0: choose 1 or more"),
        (["--max_pixels", "0"], "--max_pixels 0: choose 1 or more"),
        (["--decode_deadline", "nan"], "--decode_deadline nan: choose a number above 0"),
        (["--decode_memory", "0"], "--decode_memory 0: choose 1 or more"),
    ],
)
def test_options_that_make_no_sense(tmp_path, capsys, argv, message):
    assert main(["--images", "x", "--output", str(tmp_path / "out"), *argv]) == 2
    assert message in capsys.readouterr().err


def test_runs_of_one_second_sort_by_their_start():
    moments = [datetime(2026, 1, 2, 3, 4, 5, microsecond, UTC) for microsecond in (0, 1, 9, 16, 999_999)]
    ids = [new_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"20260102T030405Z-[0-9a-f]{6}", found) for found in ids)
