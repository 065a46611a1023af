import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from beam_job.inspect import main
from tests.tiny_model import LABELS, write_tiny_model


@pytest.fixture
def model(tmp_path):
    manifest = write_tiny_model(tmp_path / "model", training={"data": {"photos": 3}}, metrics={"dev": {"BLEU-4": 20.5}})
    return tmp_path / "model", manifest


def test_a_model_is_described(model, capsys):
    path, manifest = model
    assert main([str(path)]) == 0
    text = capsys.readouterr().out
    for found in (
        manifest.fingerprint,
        "intact",
        "tiny",
        "16 x 16",
        "at most 12",
        "10 words",
        "BLEU-4",
        "20.5",
        "none",
    ):
        assert found in text
    assert "NOT INTACT" not in text


def test_labels_and_scores_are_described(model, tmp_path, capsys):
    assert main([str(model[0])]) == 0
    text = capsys.readouterr().out
    assert "classes" not in text
    assert "the mean log-probability of the tokens" in text
    write_tiny_model(tmp_path / "labelled", labels=LABELS, quality=True)
    assert main([str(tmp_path / "labelled")]) == 0
    text = capsys.readouterr().out
    assert "6 classes: tabby, Egyptian cat, Border collie," in text
    assert "the expected CIDEr" in text


def test_a_torn_model_is_described_and_refused(model, capsys):
    path, _ = model
    (path / "vocabulary.txt").write_text("a\n")
    assert main([str(path)]) == 1
    out, error = capsys.readouterr()
    assert "NOT INTACT" in out
    assert "vocabulary.txt does not match its digest" in error


def test_a_folder_without_a_model_is_refused(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("beam_job.inspect: Model ")


def test_the_standard_library_keeps_its_inspect():
    assert "beam_job" not in inspect.__file__
    code = "import beam_job.inspect, inspect; print(inspect.__file__)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert Path(done.stdout.strip()).parent == Path(inspect.__file__).parent
