"""The estimate of workers, hours and cost."""

import json

import pytest

from beam_job.plan import main, plan


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
    assert "cost          1.39 USD, 1.39 a million images" in out


def test_speed_measured_from_a_run(tmp_path, capsys):
    (tmp_path / "manifest.json").write_text(json.dumps({"counts": {"captioned": 6000}, "seconds": 60}))
    argv = ["--images=1000", f"--manifest={tmp_path / 'manifest.json'}", "--measured_workers=2", "--workers=1"]
    assert main(argv) == 0
    assert "at 50.0 images/s a worker" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "the following arguments are required: --images"),
        ("--images 10 --workers 1", "either --images_per_second or --manifest"),
        ("--images 10 --images_per_second 0 --workers 1", "--images_per_second 0.0: choose a number above 0"),
        ("--images 10 --images_per_second 5", "either --workers or --deadline_hours"),
        ("--images 10 --images_per_second 5 --workers 1 --deadline_hours 1", "either --workers or --deadline_hours"),
        ("--images 10 --images_per_second 5 --deadline_hours 0.1", "workers take 10 minutes"),
        ("--images 10 --images_per_second 5 --workers 1 --efficiency 2", "--efficiency 2.0"),
        ("--images 10 --manifest no_such.json --workers 1", "--manifest no_such.json: it cannot be read"),
    ],
)
def test_numbers_that_make_no_plan(capsys, words, message):
    assert main(words.split()) == 2
    assert message in capsys.readouterr().err
