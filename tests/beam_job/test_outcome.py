"""How a run went, in words."""

import json
import os

from beam_job.outcome import reason, report, say_counts, show_captions
from beam_job.runs.manifest import own_manifest
from beam_job.runs.run import Run
from tests.earlier_runs import earlier_run

FROM_A_WORKER = """Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1495, in apache_beam.runners.common.DoFnRunner.process
OSError: [Errno 28] No space left on device

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "beam_job/files/whole.py", line 1, in write_whole
beam_job.files.whole.WriteError: cannot write x: No space left on device [while running 'WriteCaptions']
"""


def test_the_reason_is_one_line():
    assert reason(RuntimeError(FROM_A_WORKER)) == "cannot write x: No space left on device"
    assert reason(ValueError("no [while running 'Step']")) == "no"
    assert reason(KeyError()) == "KeyError"
    assert reason(KeyError("x")) == "KeyError: 'x'"
    assert len(reason(OSError("x" * 10_000))) == 1_000


def test_the_counts_name_faults_of_ours(tmp_path, capsys):
    manifest = {
        "counts": {"input": 2, "captioned": 0, "failed": 2, "skipped": 0, "duplicates": 0},
        "seconds": 1,
        "known_failures": 0,
        "passed_over": 0,
        "left_out": 0,
        "changed": 0,
        "touched": 0,
        "unversioned": 0,
        "failures_by_code": {"decode/corrupt": 1, "fetch/unexpected": 1},
    }
    say_counts(Run(str(tmp_path / "clear\x1b[2J"), "f", {}), manifest)
    summary, corrupt, unexpected = capsys.readouterr().err.splitlines()
    assert "clear\\x1b[2J/run=" in summary
    assert corrupt.endswith("1 failed: decode/corrupt")
    assert unexpected.endswith("1 failed: fetch/unexpected, a bug in this program: please report the logged traceback")


MANIFEST = {
    "counts": {"input": 9_000, "captioned": 4_000, "failed": 2_000, "skipped": 2_999, "duplicates": 1},
    "seconds": 1.5,
    "known_failures": 1_500,
    "passed_over": 1_200,
    "left_out": 1_300,
    "changed": 1_100,
    "touched": 1_400,
    "unversioned": 1_600,
    "failures_by_code": {"decode/corrupt": 2_000},
}


def test_every_count_is_said(tmp_path, capsys):
    run = Run(str(tmp_path), "f", {})
    say_counts(run, MANIFEST)
    assert capsys.readouterr().err.splitlines() == [
        "9,000 images: 4,000 captioned (1,100 changed), 2,000 failed (1,500 known), 2,999 skipped (1,400 touched), "
        f"1 duplicate, 1,300 left out in 1.5 s. See {run.directory}.",
        "  Not compared: 1,600 of the skipped, whose earlier records name no version; --recaption gives them one.",
        "  2,000 failed: decode/corrupt",
        "  Passed over: 1,200 lines and files of earlier runs; see the warnings.",
    ]
    nothing = dict.fromkeys(("known_failures", "passed_over", "left_out", "changed", "touched", "unversioned"), 0)
    counts = {"input": 1, "captioned": 1, "failed": 0, "skipped": 0, "duplicates": 0}
    say_counts(run, {**nothing, "counts": counts, "seconds": 2, "failures_by_code": {}})
    said = capsys.readouterr().err
    assert said == f"1 image: 1 captioned, 0 failed, 0 skipped, 0 duplicates in 2 s. See {run.directory}.\n"


def test_captions_are_shown_by_score_then_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = Run(str(tmp_path), "f", {}, id="1")
    rows = [(f"{tmp_path}/photos/b.jpg", -2.0), ("gs://b/a.jpg", -2.0), ("/other/c\x1b.jpg", -0.126)]
    (tmp_path / "run=1").mkdir()
    for number, (uri, score) in enumerate(rows):
        line = json.dumps({"uri": uri, "score": score, "caption": f"\x1b{number}"})
        (tmp_path / "run=1" / f"captions-{number}.jsonl").write_text(f"{line}\n")
    show_captions(run, {"captions": [{"name": f"captions-{number}.jsonl"} for number in range(3)]})
    assert capsys.readouterr().out.splitlines() == [
        "-0.13\t/other/c\\x1b.jpg\t\\x1b2",
        f"-2.00\t{os.path.join('photos', 'b.jpg')}\t\\x1b0",
        "-2.00\tgs://b/a.jpg\t\\x1b1",
    ]


def test_a_run_that_ended_without_a_manifest_has_none(tmp_path):
    earlier_run(tmp_path / "run=1", captions=["a"])
    assert own_manifest(str(tmp_path / "run=1"))["counts"]["captioned"] == 1
    assert own_manifest(str(tmp_path / "run=2")) is None


def test_a_report_that_cannot_be_written_does_not_fail_the_run(tmp_path, capsys):
    earlier_run(tmp_path / "run=1", captions=["a"])
    report(Run(str(tmp_path), "f", {}, id="1"), allow_https=False)
    assert capsys.readouterr().err == f"The report is {tmp_path}/run=1/report.html\n"
    report(Run(str(tmp_path), "f", {}, id="2"), allow_https=False)
    assert capsys.readouterr().err.startswith("beam_job: ")


def test_errors_of_ours_and_of_the_system_are_sentences():
    class OfOursError(Exception):
        __module__ = "beam_job.somewhere"

    assert reason(OfOursError("It is full.")) == "It is full."
    assert reason(OfOursError()) == ""
    assert reason(OSError(28, "No space left on device")) == "[Errno 28] No space left on device"
    assert reason(OSError()) == "OSError"
    assert reason(RuntimeError(" odd [while running 'x'] ")) == "RuntimeError: odd"
    assert reason(RuntimeError("a\nbeam_job.runs.x.SomeError: It is so: really.")) == "It is so: really."
    for long in (OfOursError("x" * 2_000), RuntimeError("x" * 2_000), RuntimeError("a\n" + "x" * 2_000)):
        assert len(reason(long)) == 1_000
