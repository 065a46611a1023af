"""Whatever stands in the output folder, it costs itself alone: the next run, the report and the plan go on."""

import json
import logging
import random
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from beam_job.cli import main
from beam_job.plan import PlanError, measured
from beam_job.report import ReportError, write_report
from beam_job.report.run_records import open_source, read
from beam_job.runs.folder import CAPTIONS, FAILURES
from tests.beam_job.runs.earlier.test_known import left
from tests.broken_runs import broken_run
from tests.earlier_runs import earlier_run
from tests.photos import photos
from tests.tiny_model import write_tiny_model

RUNS = 1000
_opened = None  # a list while somebody listens; an audit hook cannot be taken away again


def _listen(event, arguments):
    if _opened is not None and event == "open" and isinstance(arguments[0], str):
        _opened.append(arguments[0])


sys.addaudithook(_listen)


@pytest.fixture
def opened():
    global _opened
    _opened = []
    yield _opened
    _opened = None


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A thousand broken runs, a good one among them, and a file outside that no run may reach."""
    folder = tmp_path_factory.mktemp("archive")
    canary = folder / "canary" / "captions-1.jsonl"
    canary.parent.mkdir()
    canary.write_text('{"uri": "canary", "caption": "A canary.", "score": -1.0}\n')
    dice = random.Random(0)
    output = folder / "out"
    for number in range(RUNS):
        run = output / f"run={number:03}"
        model = dice.choice("mmmn")
        failures = [(f"{number}/x", "decode", "corrupt"), (f"{number}/y", "list", "bad_row")]
        captions = [f"{number}/a", f"{number}/b"]
        broken_run(dice, run, canary, model=model, captions=captions, failures=failures, seconds=4.5)
    earlier_run(output / "run=good", captions=[f"good/{number}" for number in range(200)])
    return output


def test_the_next_run_reads_what_can_be_read(archive, opened, caplog):
    good = [f"good/{number}" for number in range(200)]
    broken = [f"{number}/{letter}" for number in range(RUNS) for letter in "ab"]
    new, _, (duplicates, skipped), passed_over = left(archive, [*good, *broken, "canary"])
    assert "canary" in new
    assert not new.keys() & set(good)
    assert duplicates == 0
    assert RUNS / 2 < skipped - 200 < 2 * RUNS  # much of what is broken is still readable
    named = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(named) > RUNS / 10
    assert passed_over >= len(named)
    assert all(line.startswith("Passed over: '") and len(line) < 700 for line in named)
    assert len(named) == len(set(named))
    assert_only_runs_were_read(archive, opened)


def test_a_report_is_written_and_a_run_measured_or_refused(archive, opened, tmp_path):
    reported = sized = 0
    dice = random.Random(1)
    for run in dice.sample(sorted(archive.iterdir()), 400):
        with suppress(ReportError):
            page = write_report(str(run), to=str(tmp_path / "page.html"), sample=4)
            assert Path(page).stat().st_size < 1_000_000
            reported += 1
        with suppress(PlanError):
            assert measured(str(run), 1) > 0
            sized += 1
    assert reported > 200
    assert sized > 50
    assert_only_runs_were_read(archive, opened)


def test_all_broken_runs_are_read_as_the_report_reads_them(archive, opened):
    readable = 0
    for run in sorted(archive.iterdir()):
        try:
            found = open_source(str(run))
        except ReportError:
            continue
        readable += 1
        for kind in (CAPTIONS, FAILURES):
            for record in read(found, kind):
                assert isinstance(record["uri"], str)
    assert readable > RUNS / 2
    assert_only_runs_were_read(archive, opened)


def assert_only_runs_were_read(archive, opened):
    read = {path for path in opened if path.endswith((".json", ".jsonl")) or "passwd" in path}
    assert read
    assert all(path.startswith(f"{archive}/run=") and ".." not in path for path in read)


@pytest.mark.usefixtures("colours")
def test_a_job_over_an_output_folder_with_a_torn_line_a_foreign_run_and_a_hostile_manifest(tmp_path, capsys):
    write_tiny_model(tmp_path / "model")
    photos(tmp_path / "photos", 4)
    output = tmp_path / "out"
    argv = ["--images", f"{tmp_path}/photos/*.jpg", "--model", str(tmp_path / "model"), "--output", str(output)]
    assert main(argv) == 0
    (first,) = output.iterdir()
    (captions,) = first.glob("captions-*")
    captions.write_text("\n" + captions.read_text() + '{"uri": "torn')
    hostile = earlier_run(output / "run=hostile")
    (hostile / "manifest.json").write_text(json.dumps({"captions": [{"name": "../../x"}, {"name": "/etc/passwd"}]}))
    foreign = earlier_run(output / "run=foreign", finished=False)
    (foreign / "run.json").write_text('{"options": ["odd"]}')
    before = set(output.iterdir())
    capsys.readouterr()
    assert main(argv) == 0
    (second,) = set(output.iterdir()) - before
    manifest = json.loads((second / "manifest.json").read_text())
    assert (manifest["counts"]["skipped"], manifest["passed_over"]) == (4, 4)
    errors = capsys.readouterr().err
    assert "Passed over: 4 lines and files of earlier runs" in errors
