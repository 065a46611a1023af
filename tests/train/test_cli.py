"""What the command line of training says of errors: refusals, failures, and faults of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import train.cli
from train.errors import StoppedError, TrainError


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
        (KeyboardInterrupt(), 130, "train: interrupted; the same command goes on from its last checkpoint."),
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
