"""The same job on every engine: identical records, identical counts."""

import json
import shutil
from unittest import mock

import pytest

from beam_job.cli import main
from benchmarks.archive.stand_ins.small_bundles import SmallBundles
from tests.engines.processes import UnavailableError, flink_job_server, free_port, prism, running, sdk_workers
from tests.photos import SAMPLES
from tests.tiny_model import write_tiny_model

DECODING = ["--decoding=beam", "--num_captions=2", "--batch_size=3"]


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """The job's options: photos, one twice, one broken, one missing."""
    folder = tmp_path_factory.mktemp("job")
    write_tiny_model(folder / "model")
    photos = [str(shutil.copy(path, folder)) for path in SAMPLES]
    (folder / "broken.jpg").write_bytes(SAMPLES[0].read_bytes()[:1000])
    listed = [*photos, photos[0], str(folder / "broken.jpg"), str(folder / "missing.jpg")]
    (folder / "list.txt").write_text("\n".join(listed))
    return ["--uris", str(folder / "list.txt"), "--model", str(folder / "model"), *DECODING]


def run(job, output, *runner):
    """Runs the job with bundles of one record; returns its records and its counts, in an order of their own."""
    with mock.patch("beam_job.pipeline.WriteShards", lambda *arguments: SmallBundles(1, *arguments)):
        assert main([*job, "--output", str(output), *runner]) == 0
    (directory,) = output.glob("run=*")
    manifest = json.loads((directory / "manifest.json").read_text())
    names = {path.name for path in directory.iterdir()} - {"run.json", "manifest.json"}
    assert names == {shard["name"] for kind in ("captions", "failures") for shard in manifest[kind]}
    assert len(names) == 2  # small files were merged
    records = {}
    for kind in ("captions", "failures"):
        lines = [(directory / shard["name"]).read_text().splitlines() for shard in manifest[kind]]
        found = [{**json.loads(line), "run": None} for shard in lines for line in shard]
        records[kind] = sorted(found, key=lambda record: record["uri"])
    return records, manifest["counts"], manifest["failures_by_code"]


@pytest.fixture(scope="module")
def expected(job, tmp_path_factory):
    found = run(job, tmp_path_factory.mktemp("one"), "--runner=FnApiRunner")
    records, counts, _ = found
    photos = len(SAMPLES)
    assert counts == {"input": photos + 3, "captioned": photos, "failed": 2, "skipped": 0, "duplicates": 1}
    assert len(records["captions"]) == photos
    return found


def test_two_processes(job, expected, tmp_path):
    options = ["--runner=FnApiRunner", "--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    assert run(job, tmp_path, *options) == expected


@pytest.mark.engines
def test_prism(job, expected, tmp_path):
    try:
        binary = prism()
    except UnavailableError as error:
        pytest.skip(f"Prism cannot be had: {error}")
    with sdk_workers(tmp_path / "workers.log") as workers:
        options = ["--runner=PrismRunner", f"--prism_location={binary}", *workers]
        assert run(job, tmp_path / "out", *options) == expected


@pytest.mark.engines
def test_flink(job, expected, tmp_path):
    try:
        command = flink_job_server()
    except UnavailableError as error:
        pytest.skip(f"Flink's job server cannot be had: {error}")
    port, artifacts = free_port(), free_port()
    command += [f"--job-port={port}", f"--artifact-port={artifacts}", "--expansion-port=0", "--flink-master=[local]"]
    command += [f"--artifacts-dir={tmp_path / 'artifacts'}"]
    with running(command, port, tmp_path / "flink.log"), sdk_workers(tmp_path / "workers.log") as workers:
        options = ["--runner=PortableRunner", f"--job_endpoint=localhost:{port}", "--parallelism=1", *workers]
        assert run(job, tmp_path / "out", *options) == expected
