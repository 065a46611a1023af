"""Bundles that are tried again, by a runner that does so as Dataflow does: each record is there once."""

import gc
import json
from pathlib import Path

import apache_beam as beam
import pytest

from beam_job.files.whole import WriteError, write_whole
from beam_job.records import Failure
from beam_job.runs import shards
from beam_job.runs.run import Run
from beam_job.runs.shards import Shard, ShardLimits, WriteShards
from tests.cloud import BUCKET, storage_emulator

NAMES = [f"{number}.jpg" for number in range(6)]


def failures(_):
    for name in NAMES:
        yield Failure(name, "fetch", "not_found", "gone")


def test_a_bundle_that_is_tried_again_leaves_each_record_once(tmp_path, monkeypatch):
    written = []

    def fails_once(path, data):
        written.append(path)
        if len(written) == 2:
            raise WriteError("cannot write it: the disk was away for a moment")
        write_whole(path, data)

    run = Run(str(tmp_path / "out"), "m", {})
    run.start()
    folder = tmp_path / "out" / f"run={run.id}"
    monkeypatch.setattr(shards, "write_whole", fails_once)
    with beam.Pipeline("BundleBasedDirectRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create([0])
            | beam.FlatMap(failures)
            | beam.ParDo(WriteShards(str(folder), "failures", ShardLimits(records=2)))
            | beam.Map(lambda shard: json.dumps([shard.name, shard.records, shard.sha256]))
            | beam.io.WriteToText(str(tmp_path / "shards"))
        )
    monkeypatch.undo()
    named = [Shard(*json.loads(line)) for part in tmp_path.glob("shards*") for line in part.read_text().splitlines()]
    assert [shard.records for shard in named] == [2, 2, 2]
    left_behind = {path.name for path in folder.glob("failures-*")} - {shard.name for shard in named}
    assert Path(written[0]).name in left_behind
    manifest = run.finish([6], [], [], named)
    assert manifest["counts"]["failed"] == 6
    rows = [json.loads(line) for path in folder.glob("failures-*") for line in path.read_text().splitlines()]
    assert sorted(row["uri"] for row in rows) == NAMES


def test_what_a_bucket_refuses_to_take_is_named():
    with storage_emulator() as client:
        folder = f"gs://{BUCKET}/out/run=1"
        write_whole(f"{folder}/captions-1.jsonl", b"{}\n")
        client.bucket(BUCKET).delete(force=True)
        with pytest.raises(WriteError, match=f"^cannot write {folder}/captions-2.jsonl: .*404"):
            write_whole(f"{folder}/captions-2.jsonl", b"{}\n")
        gc.collect()  # the client tries again when its file is, and would do so for minutes where nobody answers
