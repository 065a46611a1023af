"""Small files of a run are merged: how many stay, and what a kill leaves."""

import hashlib
import json
import math
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from unittest import mock

import apache_beam as beam
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.testing.util import assert_that
from hypothesis import example, given, settings
from hypothesis import strategies as st

from beam_job.cli import main
from beam_job.files.in_folder import files_in
from beam_job.prune.books import open_books
from beam_job.prune.leftovers import leftovers
from beam_job.records import KNOWN, TOUCHED, Caption, CaptionRecord
from beam_job.runs.archive import open_archive
from beam_job.runs.folder import open_run_folder
from beam_job.runs.merge import LostFileError, MergeShards, groups, merge
from beam_job.runs.record_file import RecordFile, ReplacedError
from beam_job.runs.run import Run
from beam_job.runs.shards import OpenShard, Shard, ShardLimits
from benchmarks.archive.stand_ins.small_bundles import SmallBundles
from tests.kills import AFTER, BEFORE, MOMENTS, Kill, KilledError
from tests.memory import traced
from tests.photo_places import Bucket, Disk, captioned, manifests, picture, stand_in
from tests.storage import Storage
from tests.tiny_model import write_tiny_model


def shards(*records, prefix="captions", **counts):
    return [Shard(f"{prefix}-{number:032x}.jsonl", each, "", dict(counts)) for number, each in enumerate(records)]


def chosen(made, most):
    return list(groups((("captions", shard) for shard in made), most))


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 40))
@example([5_000, 4_999, 1, 5_000], 10_000)
@example([1] * 60, 40)
@example([20, 19, 1], 40)
def test_at_most_two_files_for_each_full_one(records, most):
    made = shards(*records)
    found = chosen(made, most)
    assert sorted(shard.name for group in found for shard in group) == [shard.name for shard in made]
    sums = [sum(shard.records for shard in group) for group in found]
    assert all(total <= most for total, group in zip(sums, found, strict=True) if len(group) > 1)
    assert sum(2 * total < most for total in sums) <= 1
    assert len(found) <= 2 * math.ceil(sum(records) / most)


def test_large_files_stay_as_they_are():
    made = shards(10, 5, 4, 10)
    assert chosen(made, 10) == [[made[0]], [made[1]], [made[3]], [made[2]]]


def test_files_of_two_kinds_that_come_in_turns():
    made = shards(3, 3, 3, 3, 3)
    kinds = zip("abaab", made, strict=True)
    assert list(groups(kinds, 8)) == [[made[0], made[2]], [made[1], made[4]], [made[3]]]


def test_millions_of_files_take_the_memory_of_one_group():
    many = ((str(number % 4), Shard(f"captions-{number}.jsonl", 1, "0" * 64, {"CPU": 1})) for number in range(50_000))
    with traced() as most:
        assert sum(len(group) for group in groups(many, 100)) == 50_000
        assert most() < 1_000_000


def write(directory, uris, prefix="captions"):
    """A file of captions."""
    shard = OpenShard(directory, prefix)
    for uri in uris:
        caption = Caption("A cat.", ["a", "cat"], -1.0, -1.0, True)
        shard.add(CaptionRecord(uri, 1, 1, "m", "CPU", [caption]), ShardLimits())
    return shard.close()


def test_a_merged_file_holds_the_records_of_all(tmp_path):
    run = Run(str(tmp_path), "m", {"decoding": {}})
    run.start()
    made = [write(run.directory, [f"{name}1", f"{name}2"]) for name in "abc"]
    merged = merge(made, run.directory)
    data = (tmp_path / f"run={run.id}" / merged.name).read_bytes()
    small = sorted(made, key=lambda shard: shard.name)
    assert data == b"".join((tmp_path / f"run={run.id}" / shard.name).read_bytes() for shard in small)
    assert merged == Shard(merged.name, 6, hashlib.sha256(data).hexdigest(), {"CPU": 6})
    assert merge(made[::-1], run.directory) == merged  # done again, it is the same file
    assert len(files_in(run.directory, "captions-*")) == 4
    assert merge(made[:1], run.directory) is made[0]
    assert merge(made[:2], run.directory).name != merged.name


@pytest.mark.parametrize("change", ["deleted", "changed"])
def test_a_file_that_is_not_as_it_was_written_is_not_merged(tmp_path, change):
    run = Run(str(tmp_path), "m", {"decoding": {}})
    run.start()
    made = [write(run.directory, [name]) for name in "ab"]
    path = tmp_path / f"run={run.id}" / made[1].name
    path.unlink() if change == "deleted" else path.write_text("{}\n")
    with pytest.raises(LostFileError, match=f"{made[1].name} was {change} before its run had ended; start it again"):
        merge(made, run.directory)


def test_kinds_are_merged_apart(tmp_path):
    """Captions, copies, failures and known failures: readers treat a whole file as one of them."""
    kinds = [
        shards(1, 2, CPU=1),
        shards(1, 2, prefix="captions-copy", **{TOUCHED: 1}),
        shards(1, 2, prefix="failures", **{"fetch/not_found": 1, KNOWN: 0}),
        [Shard(f"failures-known-{each}.jsonl", each, "", {"fetch/not_found": each, KNOWN: each}) for each in (1, 2)],
    ]
    made = [
        Shard(shard.name, shard.records, hashlib.sha256(b"").hexdigest(), shard.counts)
        for kind in kinds
        for shard in kind
    ]
    for shard in made:
        (tmp_path / shard.name).write_bytes(b"")
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        found = pipeline | beam.Create(made) | MergeShards(str(tmp_path))

        def check(found):
            assert sorted(shard.records for shard in found) == [3, 3, 3, 3]
            assert len({shard.name for shard in found}) == 4
            counts = [dict(shard.counts) for shard in found]
            expected = [{"CPU": 2}, {TOUCHED: 2}, {"fetch/not_found": 2, KNOWN: 0}, {"fetch/not_found": 3, KNOWN: 3}]
            assert all(each in counts for each in expected)

        assert_that(found, check)


def uris_of(output):
    """How often readers of a folder see each image."""
    return Counter(record["uri"] for record in open_archive(output).captions())


@settings(max_examples=100)
@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=8),
    st.integers(2, 12),
    st.integers(1, 8),
    st.sampled_from(MOMENTS),
)
@example([1, 1, 1, 1], 10, 1, AFTER)  # merged, and no manifest
@example([1, 1, 1, 1], 10, 2, AFTER)  # a manifest, and small files
def test_a_kill_at_any_moment_loses_nothing(tmp_path_factory, sizes, most, step, moment):
    output = tmp_path_factory.mktemp("out")
    run = Run(str(output), "m", {"decoding": {}})
    run.start()
    names = map(str, count())
    made = [write(run.directory, [next(names) for _ in range(size)]) for size in sizes]
    once = dict.fromkeys(map(str, range(sum(sizes))), 1)

    def end():
        merged = [merge(group, run.directory) for group in chosen(made, most)]
        run.finish([sum(sizes)], [], merged, [])

    killed = True
    with suppress(KilledError), Kill(step, moment):
        end()
        killed = False
    assert uris_of(str(output)) == once
    if killed and not open_run_folder(run.directory).finished:
        end()  # as a runner does the work again
        killed = False
        assert uris_of(str(output)) == once
    found = open_run_folder(run.directory)
    named = set(found.files("captions"))
    assert len(named) <= 2 * math.ceil(sum(sizes) / most)
    assert found.about["counts"]["captioned"] == sum(sizes)
    old, _ = leftovers(str(output), open_books(str(output))[0], datetime.now(UTC))
    there = set(files_in(run.directory, "captions-*"))
    assert there == named if not killed else there - set(old) == named


def test_who_looked_before_a_run_ended_starts_again(tmp_path):
    run = Run(str(tmp_path), "m", {"decoding": {}})
    run.start()
    made = [write(run.directory, [name]) for name in "ab"]
    records = open_archive(str(tmp_path)).captions()
    files = open_run_folder(run.directory).files("captions")
    run.finish([2], [], [merge(made, run.directory)], [])
    assert {record["uri"] for record in records} == {"a", "b"}  # it lists the files when it comes to the run
    with pytest.raises(ReplacedError, match=r"was replaced at the end of its run while it was read; start again\."):
        list(RecordFile(next(iter(files)), lambda _: True))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_tiny_model(folder / "model")
    return str(folder / "model")


PHOTOS = 9


def job(place, model):
    """The options of a job whose files hold eight records, but are closed after two."""
    argv = ["--images", f"{place.root}/*.png", "--output", place.output, "--model", model, "--no_auth"]
    return [*argv, "--shard_records", "8", "--batch_size", "2", "--runner=DirectRunner"]


def kill_jobs(make_place, model, log, kills):
    """Kills a run at each of these moments, in a folder of its own; the next run ends it."""
    small = mock.patch("beam_job.pipeline.WriteShards", lambda *arguments: SmallBundles(2, *arguments))
    ended = 0
    for number, (step, moment) in enumerate(kills):
        place = make_place(number)
        for photo in range(PHOTOS):
            place.put(f"{photo}.png", picture((photo, 0, 0)))
        place.put("broken.png", b"no image")
        uris = {f"{place.root}/{photo}.png" for photo in range(PHOTOS)}
        with small, Kill(step, moment):
            ended += main(job(place, model)) == 0
        before = (
            set(uris_of(place.output)) if FileSystems.match([f"{place.output}/run=*/*"])[0].metadata_list else set()
        )
        assert set(uris_of(place.output).values()) <= {1} if before else True
        logged = len(captioned(log))
        with small:
            assert main(job(place, model)) == 0
        assert {uri for uri, _ in captioned(log)[logged:]} == uris - before  # what was durable is not captioned again
        assert uris_of(place.output) == dict.fromkeys(uris, 1)
        for path in manifests(place):
            with FileSystems.open(path) as file:
                says = json.load(file)
            for kind in ("captions", "failures"):
                records = sum(each["records"] for each in says[kind])
                assert len(says[kind]) <= 2 * math.ceil(records / 8)
    return ended


# 1: run.json. 2 to 7: files of captions and failures. 8: the merged file. 9: the manifest. 10, 11: deletions.
KILLS = [(1, AFTER), (4, AFTER), *((step, moment) for step in range(6, 12) for moment in MOMENTS)]


@pytest.mark.parametrize("kills", [KILLS[1::4], pytest.param(KILLS, marks=pytest.mark.slow)], ids=len)
def test_jobs_that_are_killed_at_each_moment(tmp_path, model, monkeypatch, kills):
    stand_in(monkeypatch, tmp_path / "log")

    def make_place(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        return Disk(folder)

    assert kill_jobs(make_place, model, tmp_path / "log", kills) == 0


def test_jobs_that_are_killed_over_a_bucket(tmp_path, model, monkeypatch):
    stand_in(monkeypatch, tmp_path / "log")
    with Storage() as storage:
        storage.bucket("photos")
        kills = [(8, AFTER), (10, BEFORE)]
        ended = kill_jobs(lambda number: Bucket(storage, f"archive{number}"), model, tmp_path / "log", kills)
    assert ended == 0
