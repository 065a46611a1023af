"""What the command line of training says of errors: refusals, failures, and faults of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import train.cli
from train.errors import StoppedError, TrainError

ROOT = str(Path(train.__file__).parents[1])


def run(error: BaseException, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(train.cli, "_features", fail)
    return train.cli.main([*options, "features", "--captions", "captions.jsonl"])


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (TrainError("captions.jsonl holds no image."), 2, "train: captions.jsonl holds no image."),
        (StoppedError("The disk is full."), 1, "train: The disk is full."),
        (KeyboardInterrupt(), 130, "train: interrupted; the same command resumes after the last batch on disk."),
    ],
)
def test_what_was_foreseen_is_one_sentence(error, status, said, monkeypatch, capsys) -> None:
    assert run(error, monkeypatch) == status
    assert capsys.readouterr().err == said + "\n"


@pytest.mark.parametrize("error", [ValueError("shapes (3,) and (4,)\nsecond line"), IndexError(7), OSError(5, "I/O")])
def test_what_was_not_foreseen_says_where_it_came_from(error, monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert run(error, monkeypatch) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(rf"unexpected {type(error).__name__} in {re.escape(__file__)}, line \d+: ", said)
    (log,) = tmp_path.glob("train-*.log")
    assert str(log) in said
    assert "Traceback" in log.read_text()
    assert str(error).splitlines()[-1] in log.read_text()


def test_debug_shows_the_traceback(monkeypatch, capsys) -> None:
    assert run(ValueError("shapes"), monkeypatch, "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_value_error_of_a_library_is_no_refusal(tmp_path: Path, monkeypatch, capsys) -> None:
    """From the inside: a real command in which a library fails."""
    (tmp_path / "captions.jsonl").write_text('{"image": "a.png", "captions": ["a wall"]}\n')

    def fail(*_: object, **__: object) -> None:
        raise ValueError("could not broadcast")

    monkeypatch.setattr("train.data.features.FeatureCache", fail)
    command = ["features", "--captions", str(tmp_path / "captions.jsonl"), "--start", "default"]
    assert train.cli.main([*command, "--cache", str(tmp_path)]) == 1
    assert "could not broadcast" in capsys.readouterr().err


def test_control_characters_in_a_name_are_escaped(tmp_path: Path, capfd) -> None:
    captions = tmp_path / "captions\x1b[2J.jsonl"
    captions.write_text("[]\n")
    assert train.cli.main(["features", "--captions", str(captions), "--start", "default"]) == 2
    said = capfd.readouterr().err
    assert "captions\\x1b[2J.jsonl, line 1: expected" in said
    assert "\x1b" not in said


def test_output_that_nobody_reads_spoils_no_run(tmp_path: Path) -> None:
    source = "import sys, train.cli, train.__main__ as m; m.main = lambda: [train.cli.show('a' * 80)] * 4000 == 0\n"
    reading, writing = os.pipe()
    os.close(reading)
    source += "m.run()"
    process = subprocess.run(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": ROOT},
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (0, b"")
