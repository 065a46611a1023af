"""Files that are written whole or not at all, also where there is no room for them."""

import subprocess

import apache_beam as beam
import pytest

from beam_job.cli import main
from beam_job.files.whole import WriteError
from beam_job.runs.shards import OpenShard, ShardLimits, WriteShards
from tests.photos import photos
from tests.processes import records, start, without_progress
from tests.tiny_model import write_tiny_model

PAGE = 4096  # bytes, in which such a disk is filled


def test_records_stay_until_they_are_written(tmp_path):
    shard = OpenShard(str(tmp_path / "later"), "captions")
    with pytest.raises(WriteError):
        shard.add(Line(), ShardLimits(records=1))
    (tmp_path / "later").mkdir()
    assert shard.add(Line(), ShardLimits(records=1)).records == 2
    assert shard.close() is None


class Line:
    summary_keys = ("x",)

    def to_json(self, run):
        return "{}"


def test_a_bundle_that_fails_has_written_what_it_had(tmp_path):
    def two_and_an_end(_):
        yield Line()
        yield Line()
        raise ValueError("the list ends too early")

    pipeline = beam.Pipeline(runner="FnApiRunner")
    _ = pipeline | beam.Create([0]) | beam.FlatMap(two_and_an_end) | beam.ParDo(WriteShards(str(tmp_path), "captions"))
    with pytest.raises(Exception, match="the list ends too early"):
        pipeline.run().wait_until_finish()
    (written,) = tmp_path.iterdir()
    assert written.read_text() == "{}\n{}\n"


@pytest.fixture
def disk(tmp_path):
    """A disk of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.usefixtures("colours")
def test_a_full_disk_ends_in_a_sentence_and_the_run_goes_on_later(tmp_path, disk, capsys):
    """With room for so many pages: one for each small file, more for the report."""
    write_tiny_model(tmp_path / "model")
    photos(tmp_path / "photos", 4)
    argv = ["--images", f"{tmp_path}/photos/*.jpg", "--output", disk / "out", "--model", tmp_path / "model", "--report"]

    def job():
        status = main(list(map(str, argv)))
        err = without_progress(capsys.readouterr().err)
        assert not list(disk.rglob("*.tmp"))
        assert "Traceback" not in err
        return status, err.splitlines(), sorted((disk / "out").glob("run=*"))

    (disk / "out").mkdir()
    leave(disk, 1)
    status, (line,), (*_, run) = job()
    assert status == 1
    assert line.startswith(f"beam_job: the run {run} failed: cannot write {run}/captions-")
    assert line.endswith(".jsonl: No space left on device")
    leave(disk, 2)
    status, (line,), (*_, run) = job()
    assert (status, line.partition(" failed: ")[2]) == (1, f"cannot write {run}/manifest.json: No space left on device")
    assert len(records(disk / "out")) == 4
    leave(disk, 2)
    status, (summary, line), (*_, run) = job()
    assert (status, summary.partition(" in ")[0]) == (
        0,
        "4 images: 0 captioned, 0 failed, 4 skipped, 0 duplicates",
    )
    assert "report.html" in line
    assert "No space left on device" in line
    assert "No space left on device" in line


@pytest.mark.slow
def test_worker_processes_on_a_full_disk_end_in_a_sentence(tmp_path, disk):
    write_tiny_model(tmp_path / "model")
    photos(tmp_path / "photos", 4)
    argv = ["--images", f"{tmp_path}/photos/*.jpg", "--output", disk / "out", "--model", tmp_path / "model"]
    (disk / "out").mkdir()
    leave(disk, 1)
    process = start("beam_job", *argv, "--direct_running_mode=multi_processing", "--direct_num_workers=2")
    _, err = process.communicate(timeout=600)
    lines = without_progress(err).splitlines()
    (run,) = (disk / "out").iterdir()
    assert process.returncode == 1
    assert [line.partition("captions-")[0] for line in lines] == [
        f"beam_job: the run {run} failed: cannot write {run}/"
    ]


def leave(disk, pages):
    """Fills the disk but for so many."""
    (disk / "other").unlink(missing_ok=True)
    used = sum(-(-path.stat().st_size // PAGE) for path in disk.rglob("*") if path.is_file())
    (disk / "other").write_bytes(b"x" * (256 - used - pages) * PAGE)
