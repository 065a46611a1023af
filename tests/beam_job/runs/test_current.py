"""The current caption of an image, where several runs have captioned it."""

import json
import tempfile
from pathlib import Path

import apache_beam as beam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_job.report.run_records import open_source, read
from beam_job.runs.current import NoRunsError, ReadCaptions, caption_files, current_runs, records_of
from tests.earlier_runs import DECODING, earlier_run

TRIAL = DECODING | {"strategy": "sample"}


def current(output, **wanted):
    """Each image's run, as ``ReadCaptions`` gives it."""
    return {uri: record["run"] for uri, record in read_all(output, **wanted).items()}


def read_all(output, **wanted):
    with tempfile.TemporaryDirectory() as folder:
        with beam.Pipeline("FnApiRunner") as pipeline:
            lines = pipeline | ReadCaptions(str(output), **wanted) | beam.Map(json.dumps)
            _ = lines | beam.io.WriteToText(f"{folder}/found")
        records = [json.loads(line) for path in Path(folder).iterdir() for line in path.read_text().splitlines()]
    found = {record["uri"]: record for record in records}
    assert len(found) == len(records)
    return found


def test_the_newest_run_with_the_settings_of_the_newest_finished_one_has_the_current_caption(tmp_path):
    earlier_run(tmp_path / "run=1", captions=["a", "b", "c"])
    earlier_run(tmp_path / "run=2", captions=["a", "b"], decoding=TRIAL)
    earlier_run(tmp_path / "run=3", captions=["b"])
    earlier_run(tmp_path / "run=4", captions=["c"], finished=False)
    earlier_run(tmp_path / "run=5", captions=["a"], model="other", finished=False)
    (tmp_path / "run=6").mkdir()
    (tmp_path / "run=6" / "run.json").write_text("torn")
    assert current(tmp_path) == {"a": "1", "b": "3", "c": "4"}
    assert current(tmp_path, run="2") == {"a": "2", "b": "2"}
    assert current(f"file://{tmp_path}", model="other") == {"a": "5"}


def test_files_that_the_manifest_does_not_name_and_lines_that_are_torn_hold_no_captions(tmp_path):
    run = earlier_run(tmp_path / "run=1", captions=["a"])
    (run / "captions-2.jsonl").write_text('{"uri": "a", "caption": "of a bundle that was tried again"}\n')
    with (run / "captions-1.jsonl").open("a") as file:
        file.write('{"uri": "b", "capt')
    assert current(tmp_path) == {"a": "1"}


def test_a_killed_run_that_left_an_image_twice_counts_once(tmp_path):
    run = earlier_run(tmp_path / "run=1", captions=["a"], finished=False)
    (run / "captions-0.jsonl").write_text('{"uri": "a", "caption": "first"}\n{"uri": "b", "caption": "first"}\n')
    assert current(tmp_path) == {"a": "1", "b": "1"}


def test_the_records_of_runs_come_file_after_file_the_newest_run_first(tmp_path):
    earlier_run(tmp_path / "run=1", captions=["c", "a"], failures=[("x", "fetch", "not_found")])
    earlier_run(tmp_path / "run=2", captions=["b"], decoding=TRIAL)
    run = earlier_run(tmp_path / "run=3", captions=["a", "b"], finished=False)
    (run / "captions-0.jsonl").write_text('{"uri": "d", "caption": "A dog."}\n')
    found = records_of(current_runs(str(tmp_path), run="1"))
    assert [(record["uri"], record["caption"]) for record in found] == [
        ("d", "A dog."),
        *((uri, "A cat.") for uri in "abca"),
    ]


def test_where_there_is_no_run_as_asked_for(tmp_path):
    with pytest.raises(NoRunsError, match="there is no run here"):
        caption_files(str(tmp_path))
    earlier_run(tmp_path / "run=1", captions=["a"])
    with pytest.raises(NoRunsError, match="there is no run of model 'n' here"):
        caption_files(str(tmp_path), model="n")
    with pytest.raises(NoRunsError, match="there is no run with the id '2' here"):
        caption_files(str(tmp_path), run="2")


RUN = st.tuples(st.booleans(), st.booleans(), st.sets(st.sampled_from("abcd")))


@given(runs=st.lists(RUN, min_size=1, max_size=6))
def test_the_report_reads_the_captions_that_the_rule_names(tmp_path_factory, runs):
    output = tmp_path_factory.mktemp("out")
    for number, (trial, finished, uris) in enumerate(runs):
        earlier_run(
            output / f"run={number}", captions=sorted(uris), decoding=TRIAL if trial else DECODING, finished=finished
        )
    ended = [run for run in runs if run[1]] or runs
    expected = {}
    for number, (trial, _, uris) in enumerate(runs):
        if trial == ended[-1][0]:
            expected |= dict.fromkeys(uris, str(number))
    first = {}
    for file in caption_files(str(output)):
        with open(file.path) as lines:
            for line in lines:
                first.setdefault(json.loads(line)["uri"], file.run)
    assert first == expected
    reported = [record["uri"] for record in read(open_source(str(output)), "captions")]
    assert sorted(reported) == sorted(expected)


def test_reviews_have_the_last_word(tmp_path):
    earlier_run(tmp_path / "run=1", captions=["a", "b", "c"])
    shown = {
        "shown": "A cat.",
        "model": "m",
        "decoding": "d",
        "run": "1",
        "score": -1.0,
        "time": "2026-01-02T00:00:00Z",
    }
    rows = [
        {"uri": "a", "verdict": "corrected", "caption": "A wolf.", **shown},
        {"uri": "b", "verdict": "wrong", **shown},
        {"uri": "x", "verdict": "corrected", "caption": "No image of the folder.", **shown},
    ]
    (tmp_path / "reviews").mkdir()
    (tmp_path / "reviews" / "1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_all(tmp_path)
    assert {uri: (record["caption"], record["source"]) for uri, record in found.items()} == {
        "a": ("A wolf.", "review"),
        "c": ("A cat.", "model"),
    }
    assert read_all(tmp_path, keep_wrong=True)["b"]["verdict"] == "wrong"
