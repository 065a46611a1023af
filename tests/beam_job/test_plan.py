"""The estimate of workers, hours and cost."""

import pytest

from beam_job.plan import main, plan
from tests.earlier_runs import earlier_run


def test_a_deadline_gives_workers():
    found = plan(3_600_000, 100, deadline_hours=5.5, startup_minutes=30, efficiency=1, worker_price=2)
    assert (found.workers, found.hours, found.worker_hours, found.cost) == (2, 5.5, 11, 22)


def test_workers_give_hours():
    found = plan(3_600_000, 100, workers=10, startup_minutes=0, efficiency=0.5)
    assert (found.workers, found.hours, found.cost) == (10, pytest.approx(2), None)


@pytest.mark.parametrize("deadline", [0.2, 0.5, 1, 3.7, 24])
def test_the_deadline_holds_and_one_worker_less_misses_it(deadline):
    found = plan(1_234_567, 77, deadline_hours=deadline)
    assert found.hours <= deadline + 1e-9
    if found.workers > 1:
        assert plan(1_234_567, 77, workers=found.workers - 1).hours > deadline


def test_what_it_prints(capsys):
    words = "--images 1000000 --images_per_second 100 --workers 4 --startup_minutes 0 --efficiency 1 --worker_price 0.5"
    assert main(words.split()) == 0
    out = capsys.readouterr().out
    assert out.startswith("Estimate for 1,000,000 images")
    assert "cost          1.39 USD, 1.39 per million images" in out


def test_one_worker_reaches_all_of_its_speed(capsys):
    assert plan(3600, 1, workers=1, startup_minutes=0, efficiency=0.5).hours == 1
    assert plan(3600, 1, workers=2, startup_minutes=0, efficiency=0.5).hours == 1
    assert plan(3600, 1, deadline_hours=1, startup_minutes=0, efficiency=0.5).workers == 1
    assert main(["--images", "1", "--images_per_second", "1", "--workers", "1"]) == 0
    assert capsys.readouterr().out.startswith("Estimate for 1 image at 1.0 images/s per worker:\n")
    assert main(["--images", "2", "--images_per_second", "1", "--workers", "2"]) == 0
    assert capsys.readouterr().out.startswith("Estimate for 2 images at 1.0 images/s per worker and 85% efficiency:\n")


@pytest.mark.parametrize("name", ["", "/", "/manifest.json", "file"])
def test_speed_measured_from_a_run(tmp_path, capsys, name):
    run = tmp_path / "run=20260102T030405Z-a1b2c3"
    earlier_run(run, counts={"captioned": 6000}, seconds=60)
    named = run.as_uri() if name == "file" else f"{run}{name}"
    assert main(["--images=1000", f"--run={named}", "--measured_workers=2", "--workers=1"]) == 0
    assert "at 50.0 images/s per worker" in capsys.readouterr().out


def test_of_an_output_folder_the_largest_finished_run_counts(tmp_path, capsys):
    """The latest night may have had one image, or none."""
    for day, captioned, finished in ((1, 600, True), (2, 6000, True), (3, 1, True), (4, 0, True), (5, 9999, False)):
        run = tmp_path / f"run=2026010{day}T030405Z-a1b2c3"
        earlier_run(run, counts={"captioned": captioned}, seconds=60, finished=finished)
    (tmp_path / "run=x").mkdir()
    (tmp_path / "run=x" / "manifest.json").write_bytes(b"[]")
    assert main(["--images=1000", f"--run={tmp_path}", "--workers=1"]) == 0
    assert "at 100.0 images/s per worker" in capsys.readouterr().out


def test_an_empty_folder_is_named_in_one_sentence(tmp_path, capsys):
    assert main(["--images=1000", f"--run={tmp_path}", "--workers=1"]) == 2
    said = capsys.readouterr().err
    assert said.endswith(
        "(there is neither manifest.json nor run.json); name a run=<id> folder, or the output folder of runs.\n"
    )


@pytest.mark.parametrize(
    "manifest", [None, b"", b"[]", b"{}", b'{"counts": {"captioned": "many"}, "seconds": 1}', b"\xff"]
)
def test_what_is_no_finished_run(tmp_path, capsys, manifest):
    if manifest is not None:
        (tmp_path / "manifest.json").write_bytes(manifest)
    assert main(["--images=1000", f"--run={tmp_path}", "--workers=1"]) == 2
    assert f"--run {tmp_path}: there is no run" in capsys.readouterr().err


def test_a_run_that_has_not_ended_measures_nothing(tmp_path, capsys):
    run = earlier_run(tmp_path / "run", finished=False)
    assert main(["--images=1000", f"--run={run}", "--workers=1"]) == 2
    assert "there is no finished run: there is no manifest.json." in capsys.readouterr().err


def test_a_run_without_captions_measures_nothing(tmp_path, capsys):
    run = earlier_run(tmp_path / "run", seconds=3)
    assert main(["--images=1000", f"--run={run}", "--workers=1"]) == 2
    assert "it captioned nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "the following arguments are required: --images"),
        ("--images 10 --workers 1", "either --images_per_second or --run"),
        ("--images 10 --images_per_second 0 --workers 1", "--images_per_second 0.0: choose a number above 0"),
        ("--images 10 --images_per_second inf --workers 1", "--images_per_second inf: choose a number above 0"),
        ("--images 10 --images_per_second 1 --workers 1 --worker_price nan", "--worker_price nan: choose 0 or more"),
        ("--images 10 --images_per_second 1 --deadline_hours nan", "--deadline_hours nan: choose 0 or more"),
        ("--images 10 --images_per_second 1 --workers 1 --startup_minutes -1", "--startup_minutes -1.0: choose 0"),
        ("--images 10 --images_per_second 5", "either --workers or --deadline_hours"),
        ("--images 10 --images_per_second 5 --workers 1 --deadline_hours 1", "either --workers or --deadline_hours"),
        ("--images 10 --images_per_second 5 --deadline_hours 0.1", "workers take 10 minutes"),
        ("--images 10 --images_per_second 5 --workers 1 --efficiency 2", "--efficiency 2.0"),
        ("--images 10 --run no_such --workers 1", "--run no_such: there is no run"),
        ("--images 10 --run file://host/run --workers 1", "A local file's URI is file:///PATH"),
    ],
)
def test_numbers_that_make_no_plan(capsys, words, message):
    assert main(words.split()) == 2
    assert message in capsys.readouterr().err
