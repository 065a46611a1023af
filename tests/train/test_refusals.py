"""Runs that cannot be made, or fail: one sentence says why, and no model is left."""

import errno
import json
from pathlib import Path

import pytest

from tests.train.colours import QUICK, add_tiny_encoder, write_colours
from train.cli import main


@pytest.fixture(scope="module", autouse=True)
def _encoder() -> None:
    add_tiny_encoder()


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colours(tmp_path_factory.mktemp("data"))


def test_wrong_paths_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_text(json.dumps({"image": "elsewhere/1.jpg", "captions": ["a red wall"] * 8}))
    command = ["fit", "--captions", str(file), "--encoder", "tiny", "--cache", str(tmp_path / "cache")]
    assert main([*command, "--output", str(tmp_path / "model"), "--set", *QUICK]) == 2
    told = capsys.readouterr().err
    assert "1 image, and none can be read" in told
    assert f"{tmp_path}/elsewhere/1.jpg: " in told


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--set", "epochs=many"], "epochs=many"),
        (["--encoder", "VGG16"], "VGG16 is unknown"),
        (["--captions", "none.jsonl"], "none.jsonl can't be read"),
        (["--captions", "tfds:coco_captions"], "expected tfds:NAME:SPLIT"),
        (["--start", "default", "--encoder", "ResNet50"], "brings its own encoder"),
        (["--fresh_decoder"], "works only with --start"),
        (["--encoder", "tiny", "--set", "vocabulary_size=4"], "No word of the captions"),
        (["--start", "/nope"], "Model /nope: manifest.json cannot be read"),
        (["--checkpoint_seconds", "nan"], "--checkpoint_seconds nan: choose 0 or more"),
    ],
)
def test_bad_input_is_one_sentence(
    given: list[str], message: str, captions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model"
    assert main(["fit", "--captions", str(captions), "--output", str(output), *given]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not output.exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["batch_size=9"], "8 captions, too few for a batch of 9"),
        (["self_critical_epochs=1"], "1 photo, too few for the second stage"),
    ],
)
def test_a_batch_that_is_never_full_is_refused_before_features_are_computed(
    given: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_text(json.dumps({"image": "elsewhere/1.jpg", "captions": ["a red wall"] * 8}))
    command = ["fit", "--captions", str(file), "--encoder", "tiny", "--cache", str(tmp_path / "cache")]
    assert main([*command, "--output", str(tmp_path / "model"), "--set", *QUICK, *given]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (["a purple wall"] * 9, "--sentences: 0 of 9 sentences can be used, too few for a batch of 8. The others"),
        (["a red wall"] * 7, "--sentences: 7 of 7 sentences can be used, too few for a batch of 8. Add sentences"),
    ],
)
def test_sentences_that_never_fill_a_batch_are_refused_before_features_are_computed(
    sentences: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "captions.jsonl"
    file.write_text(json.dumps({"image": "elsewhere/1.jpg", "captions": ["a red wall"] * 8}))
    (tmp_path / "sentences.txt").write_text("\n".join(sentences))
    command = ["fit", "--captions", str(file), "--encoder", "tiny", "--cache", str(tmp_path / "cache")]
    command += ["--sentences", str(tmp_path / "sentences.txt"), "--output", str(tmp_path / "model")]
    assert main([*command, "--set", *QUICK]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.endswith("Add sentences with words of the captions, or omit --sentences.\n")
    assert not (tmp_path / "cache").exists()


def test_a_full_disk_leaves_no_model(captions: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("train.exporting.export.write_functions", full)
    command = ["fit", "--captions", str(captions), "--encoder", "tiny", "--cache", str(captions.parent / "cache")]
    assert main([*command, "--output", str(tmp_path / "model"), "--set", *QUICK, "epochs=1"]) == 1
    assert "can't be written next to" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert list((captions.parent / "cache" / "runs").iterdir())  # the same command exports without training again


def test_a_run_that_diverges_exports_nothing(captions: Path, tmp_path: Path, capsys) -> None:
    command = ["fit", "--captions", str(captions), "--encoder", "tiny", "--cache", str(captions.parent / "cache")]
    command += ["--output", str(tmp_path / "model"), "--set", *QUICK, "learning_rate=1e38", "warmup_steps=0"]
    assert main(command) == 1
    assert "Training stopped at step" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
